// sqs-consumer, the common poller of Node programs: a message that fails comes again, and what is
// handled is deleted.
import { CreateQueueCommand, GetQueueAttributesCommand, SQSClient, SendMessageCommand } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";

const sqs = new SQSClient({});
const Attributes = { FifoQueue: "true", ContentBasedDeduplication: "true" };
const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "consumer.fifo", Attributes }));
for (const MessageBody of ["1", "2", "3"]) {
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody, MessageGroupId: "a" }));
}

const handled = [];
let failed = false;
const consumer = Consumer.create({
  queueUrl: QueueUrl,
  sqs,
  waitTimeSeconds: 5,
  terminateVisibilityTimeout: true,
  handleMessage: async (message) => {
    if (message.Body === "2" && !failed) {
      failed = true;
      throw new Error("later");
    }
    handled.push(message.Body);
    return message;
  },
});
consumer.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
await new Promise((done) => {
  consumer.on("message_processed", () => handled.length === 3 && done());
  consumer.on("processing_error", () => {});
  consumer.start();
});
await new Promise((done) => {
  consumer.on("stopped", done);
  consumer.stop();
});
if (handled.join() !== "1,2,3" || !failed) throw new Error(`handled: ${handled}`);
const AttributeNames = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
const left = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames }));
if (Object.values(left.Attributes).join() !== "0,0") throw new Error(JSON.stringify(left.Attributes));
