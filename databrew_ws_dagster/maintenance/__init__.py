"""What happens to windows after they ended: completeness, profile, report, retention. No socket and no Dagster."""
