"""Report, comparison, figures and tables; all tables are drawn from one table model."""
