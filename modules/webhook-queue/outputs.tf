output "queue_name" {
  description = "Name of the webhook queue."
  value       = aws_sqs_queue.webhook.name
}

output "queue_arn" {
  description = "ARN of the webhook queue."
  value       = aws_sqs_queue.webhook.arn
}

output "queue_url" {
  description = "URL of the webhook queue."
  value       = aws_sqs_queue.webhook.url
}

output "dead_letter_queue_name" {
  description = "Name of the dead-letter queue."
  value       = aws_sqs_queue.dead_letter.name
}

output "dead_letter_queue_arn" {
  description = "ARN of the dead-letter queue."
  value       = aws_sqs_queue.dead_letter.arn
}

output "dead_letter_queue_url" {
  description = "URL of the dead-letter queue."
  value       = aws_sqs_queue.dead_letter.url
}

output "kms_key_arn" {
  description = "ARN of the key that encrypts both queues; null with SQS's own keys."
  value       = var.encryption.kms_key_arn
}

output "visibility_timeout_seconds" {
  description = "How long SQS hides a received message, in seconds: six function timeouts."
  value       = local.visibility_timeout_seconds
}

output "receives_until_given_up" {
  description = "Receives that the retries of the most patient route can come to; `max_receive_count` is at least this."
  value       = local.receives_until_given_up
}
