"""A producer and a consumer of kombu, which Celery works with, on a queue that they make themselves."""

import os
from urllib.parse import quote, urlsplit

from kombu import Connection

endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL_SQS"])
user, password = (quote(os.environ[name]) for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
options = {"is_secure": False, "region": os.environ["AWS_REGION"], "wait_time_seconds": 5}
with Connection(f"sqs://{user}:{password}@{endpoint.netloc}//", transport_options=options) as connection:
    queue = connection.SimpleQueue("kombu.fifo")
    for number in range(3):
        queue.put({"n": number})
    for number in range(3):
        message = queue.get(block=True, timeout=30)
        assert message.payload == {"n": number}, message.payload
        message.ack()
    queue.close()
