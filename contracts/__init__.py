"""What travels between services. Nothing here talks to anything: models, ids, topics and their envelope."""
