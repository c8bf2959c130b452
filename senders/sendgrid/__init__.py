"""SendGrid: e-mail in batches, through the official `sendgrid` SDK."""
