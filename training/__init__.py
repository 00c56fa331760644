"""Training, evaluation and export: everything that needs torch, and nothing the service needs."""
