"""How a model is made smaller: one module per method, a settings class and its transform."""
