"""Tasks whose ids are digests of their content, which of them may run next, and the folder that keeps them."""
