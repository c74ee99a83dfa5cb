"""What the verbs call, and their options: load rows, fit tables, plan budgets, save and print results."""
