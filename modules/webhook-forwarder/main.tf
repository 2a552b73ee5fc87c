resource "aws_cloudwatch_log_group" "forwarder" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts with its own keys; logs.kms_key_arn takes another
  #checkov:skip=CKV_AWS_338:how long lines are kept is the environment's choice (logs.retention_days); they hold no bodies
  name              = "/aws/lambda/${local.function_name}"
  retention_in_days = var.logs.retention_days
  kms_key_id        = var.logs.kms_key_arn
}

resource "aws_lambda_function" "forwarder" {
  #checkov:skip=CKV_AWS_50:tracing is the environment's choice (variable tracing) and has its price
  #checkov:skip=CKV_AWS_115:the mapping's maximum concurrency bounds this function; reserving takes from others and is the environment's choice (reserved_concurrency)
  #checkov:skip=CKV_AWS_116:a function's dead-letter queue is for asynchronous calls; this one is called by a mapping, and dead letters go to the queue's own
  #checkov:skip=CKV_AWS_117:a VPC is needed only for destinations with private names (variable vpc)
  #checkov:skip=CKV_AWS_173:the variables hold no secrets and are encrypted with Lambda's own key
  #checkov:skip=CKV_AWS_272:what runs is held to the artifact's SHA-256, which is attested where it is built
  function_name = local.function_name
  description   = "Delivers webhooks of ${var.environment} from their queue"
  role          = aws_iam_role.forwarder.arn

  runtime       = "provided.al2023"
  handler       = "bootstrap"
  architectures = [var.artifact.architecture]

  filename          = var.artifact.path
  s3_bucket         = var.artifact.bucket
  s3_key            = var.artifact.key
  s3_object_version = var.artifact.object_version
  source_code_hash  = var.artifact.code_sha256
  publish           = true

  timeout                        = var.forwarder.function_timeout_seconds
  memory_size                    = var.memory_megabytes
  reserved_concurrent_executions = var.reserved_concurrency == null ? -1 : var.reserved_concurrency

  environment {
    variables = local.variables
  }

  # The forwarder leaves out lines below its level itself. Lambda takes lines without a level, as those
  # of metrics are, for INFO: a higher level here would drop the metrics.
  # Source: Lambda guide, "Log-level filtering".
  logging_config {
    log_format            = "JSON"
    application_log_level = var.forwarder.log_level == "DEBUG" ? "DEBUG" : "INFO"
    system_log_level      = "WARN" # those of a success are INFO, and say nothing
    log_group             = aws_cloudwatch_log_group.forwarder.name
  }

  tracing_config {
    mode = var.tracing ? "Active" : "PassThrough"
  }

  dynamic "vpc_config" {
    for_each = var.vpc[*]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  lifecycle {
    precondition {
      condition     = local.variables_bytes <= 4096
      error_message = "the routes do not fit into a function's environment: ${local.variables_bytes} of 4096 bytes; shorten names and URLs or split the environment."
    }
  }

  # Without its rights the function fails from its first invocation on.
  depends_on = [aws_iam_role_policy.forwarder]
}

# What is delivered by. A rollback turns it back to a version that is still there.
resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "The version that delivers"
  function_name    = aws_lambda_function.forwarder.function_name
  function_version = aws_lambda_function.forwarder.version
}

# No filter, ever: what a filter does not match is deleted.
resource "aws_lambda_event_source_mapping" "queue" {
  event_source_arn        = var.queue_arn
  function_name           = aws_lambda_alias.live.arn
  enabled                 = var.enabled
  batch_size              = var.forwarder.batch_size
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.forwarder.max_concurrency
  }

  metrics_config {
    metrics = ["EventCount"]
  }

  # An operator pauses and resumes; a deployment in between must not.
  lifecycle {
    ignore_changes = [enabled]
  }
}
