"""What happens to a language model's social bias, quality and cost when it is made smaller."""
