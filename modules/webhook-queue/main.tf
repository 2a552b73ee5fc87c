resource "aws_sqs_queue" "webhook" {
  name       = "${var.environment}-webhook.fifo"
  fifo_queue = true

  content_based_deduplication = local.content_based_deduplication
  deduplication_scope         = local.throughput.deduplication_scope
  fifo_throughput_limit       = local.throughput.fifo_throughput_limit

  visibility_timeout_seconds = local.visibility_timeout_seconds
  message_retention_seconds  = var.queue.retention_seconds
  max_message_size           = var.queue.max_message_bytes

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter.arn
    maxReceiveCount     = var.queue.max_receive_count
  })

  # SSE-SQS and a KMS key exclude each other: where a key is given, the other must stay unsaid.
  sqs_managed_sse_enabled           = var.encryption.kms_key_arn == null ? true : null
  kms_master_key_id                 = var.encryption.kms_key_arn
  kms_data_key_reuse_period_seconds = var.encryption.kms_key_arn == null ? null : var.encryption.data_key_reuse_seconds
}

resource "aws_sqs_queue" "dead_letter" {
  name       = "${var.environment}-webhook-dlq.fifo"
  fifo_queue = true

  # The largest that provider 5.100 can set, and 4 KiB more than the largest webhook queue.
  max_message_size          = 262144
  message_retention_seconds = var.queue.dead_letter_retention_seconds

  sqs_managed_sse_enabled           = var.encryption.kms_key_arn == null ? true : null
  kms_master_key_id                 = var.encryption.kms_key_arn
  kms_data_key_reuse_period_seconds = var.encryption.kms_key_arn == null ? null : var.encryption.data_key_reuse_seconds
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letter" {
  queue_url = aws_sqs_queue.dead_letter.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.webhook.arn]
  })
}

# Who may do what is said by the roles' policies; the queues' own policies only refuse plain text.
resource "aws_sqs_queue_policy" "tls_only" {
  for_each = {
    webhook     = aws_sqs_queue.webhook
    dead_letter = aws_sqs_queue.dead_letter
  }

  queue_url = each.value.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RefusePlainText"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = each.value.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

# `prevent_destroy` takes no variable, so it stands on a resource that exists only where deletion is
# refused and that would have to go whenever a queue goes.
resource "terraform_data" "deletion_protection" {
  count = var.deletion_protection ? 1 : 0

  lifecycle {
    prevent_destroy      = true
    replace_triggered_by = [aws_sqs_queue.webhook.arn, aws_sqs_queue.dead_letter.arn]
  }
}
