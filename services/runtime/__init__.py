"""What every service stands on: settings, broker, inbox, failure handling, telemetry, blobs."""
