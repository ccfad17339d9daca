"""The durable queue: deliveries that wait, were missed or are dead, as rows and in packed batches."""
