"""A whole centre on one machine: the embedded Kafka and Valkey, their data folder, and the supervisor that keeps processes alive."""
