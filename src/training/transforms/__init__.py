"""Changes to training documents; each module registers one."""
