"""The paper's tables and figures: its methods, retrained and compared."""
