"""What the verbs call: load rows, fit tables, plan budgets, save and print results."""
