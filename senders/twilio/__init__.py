"""Twilio: text messages, one request each, through the official `twilio` SDK."""
