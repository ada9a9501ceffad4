"""The paper's tables and figures: retrains its methods and compares them."""
