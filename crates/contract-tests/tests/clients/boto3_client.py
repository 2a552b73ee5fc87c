"""Every action that the engine takes, through boto3, whose endpoint and credentials are in the environment."""

import time

import boto3
from botocore.exceptions import ClientError

sqs = boto3.client("sqs")


def create(name, **attributes):
    return sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true", **attributes})["QueueUrl"]


def refused(code, status, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        seen = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert seen == (code, status), seen
    else:
        raise AssertionError(f"{code} was expected")


def receive(url, **arguments):
    arguments = {"MaxNumberOfMessages": 10, "AttributeNames": ["All"], "MessageAttributeNames": ["All"], **arguments}
    return sqs.receive_message(QueueUrl=url, **arguments).get("Messages", [])


dead = create("boto3-dead.fifo")
dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
url = create("boto3.fifo", RedrivePolicy=f'{{"deadLetterTargetArn":"{dead_arn}","maxReceiveCount":"1"}}')
assert sqs.get_queue_url(QueueName="boto3.fifo")["QueueUrl"] == url
assert url in sqs.list_queues(QueueNamePrefix="boto3")["QueueUrls"]
assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "60"})

sqs.tag_queue(QueueUrl=url, Tags={"team": "a", "x": "y"})
sqs.untag_queue(QueueUrl=url, TagKeys=["x"])
assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a"}

# The client checks the digests of bodies and attributes by itself.
attributes = {
    "text": {"DataType": "String", "StringValue": "注文"},
    "number": {"DataType": "Number.int", "StringValue": "7"},
    "blob": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
}
sqs.send_message(
    QueueUrl=url, MessageBody="1", MessageGroupId="a", MessageDeduplicationId="1", MessageAttributes=attributes
)
entries = [
    {"Id": n, "MessageBody": n, "MessageGroupId": "a", "MessageDeduplicationId": n, "MessageAttributes": attributes}
    for n in ["2", "3"]
]
assert len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 2
messages = receive(url)
assert [message["Body"] for message in messages] == ["1", "2", "3"], messages
assert messages[0]["MessageAttributes"]["blob"]["BinaryValue"] == b"\x00\xff"
assert messages[0]["Attributes"]["MessageGroupId"] == "a"

first, second, third = (message["ReceiptHandle"] for message in messages)
sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first, VisibilityTimeout=0)
assert receive(url) == [], "it was received often enough"
sqs.delete_message(QueueUrl=url, ReceiptHandle=second)
changes = [{"Id": "a", "ReceiptHandle": third, "VisibilityTimeout": 30}]
assert sqs.change_message_visibility_batch(QueueUrl=url, Entries=changes)["Successful"] == [{"Id": "a"}]
deletes = [{"Id": "a", "ReceiptHandle": third}, {"Id": "b", "ReceiptHandle": "none"}]
deleted = sqs.delete_message_batch(QueueUrl=url, Entries=deletes)
assert deleted["Successful"] == [{"Id": "a"}] and deleted["Failed"][0]["Code"] == "ReceiptHandleIsInvalid"

# The first one is a dead letter by now, and goes back.
handle = sqs.start_message_move_task(SourceArn=dead_arn)["TaskHandle"]
for _ in range(600):
    task = sqs.list_message_move_tasks(SourceArn=dead_arn)["Results"][0]
    if task["Status"] != "RUNNING":
        break
    time.sleep(0.1)  # Nothing tells of a task's end.
assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 1), task
refused("InvalidParameterValue", 400, sqs.cancel_message_move_task, TaskHandle=handle)
assert [message["Body"] for message in receive(url, WaitTimeSeconds=5)] == ["1"]

sqs.purge_queue(QueueUrl=url)
refused("AWS.SimpleQueueService.PurgeQueueInProgress", 403, sqs.purge_queue, QueueUrl=url)
refused("ResourceNotFoundException", 404, sqs.start_message_move_task, SourceArn=dead_arn.replace("dead", "none"))
for queue in [url, dead]:
    sqs.delete_queue(QueueUrl=queue)
refused("AWS.SimpleQueueService.NonExistentQueue", 400, sqs.get_queue_url, QueueName="boto3.fifo")
