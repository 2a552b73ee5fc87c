# Each alarm is named after a section of the runbook. Where nothing happens there is nothing to
# count, so missing data is good, but for the one alarm that is about silence.
locals {
  alarms = {
    dead-letters-present = {
      description = "Webhooks could not be delivered and wait in the dead-letter queue."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = local.dead_letter
      statistic   = "Maximum"
      period      = 60
      threshold   = 1
    }
    oldest-message-too-old = {
      description = "A webhook has waited for ${var.thresholds.oldest_message_seconds} seconds: the service is down, or deliveries are too slow."
      namespace   = "AWS/SQS"
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = local.queue
      statistic   = "Maximum"
      period      = 60
      threshold   = var.thresholds.oldest_message_seconds
    }
    dead-letters-near-retention = {
      description = "A dead letter will soon be deleted by SQS: it has reached ${var.thresholds.dead_letter_age_share * 100} % of its time."
      namespace   = "AWS/SQS"
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = local.dead_letter
      statistic   = "Maximum"
      period      = 300
      threshold   = floor(var.dead_letter_retention_seconds * var.thresholds.dead_letter_age_share)
    }
    function-errors = {
      description = "The forwarder crashed, timed out or could not start. A delivery that fails is no such error."
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = local.function
      statistic   = "Sum"
      period      = 300
      threshold   = 1
    }
    function-throttles = {
      description = "Lambda refused to start the forwarder: the account's concurrency is used up, or reserved_concurrency is below max_concurrency."
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = local.function
      statistic   = "Sum"
      period      = 300
      threshold   = 1
    }
    api-client-errors = {
      description = "The API refuses requests (4xx): a header is missing, a token is wrong, or there are too many requests."
      namespace   = "AWS/ApiGateway"
      metric      = "4xx"
      dimensions  = local.api
      statistic   = "Sum"
      period      = 300
      threshold   = var.thresholds.api_client_errors
    }
    api-server-errors = {
      description = "The API fails (5xx): webhooks may be lost unless the SaaS sends them again."
      namespace   = "AWS/ApiGateway"
      metric      = "5xx"
      dimensions  = local.api
      statistic   = "Sum"
      period      = 300
      threshold   = var.thresholds.api_server_errors
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.environment}-webhook-${each.key}"
  alarm_description   = "${each.value.description} What to do: ${var.runbook_url}#${each.key}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions
}

# CloudWatch has no metric for a mapping's state. But an enabled mapping asks the queue all the time,
# and every answer, with messages or without, is counted; so silence means that nobody asks: paused,
# disabled by Lambda, or without the right to receive.
resource "aws_cloudwatch_metric_alarm" "mapping_not_enabled" {
  alarm_name          = "${var.environment}-webhook-mapping-not-enabled"
  alarm_description   = "Nobody has asked the queue for messages in ${var.thresholds.not_receiving_minutes} minutes: the event source mapping is paused or broken. What to do: ${var.runbook_url}#mapping-not-enabled"
  evaluation_periods  = var.thresholds.not_receiving_minutes
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions

  metric_query {
    id          = "receives"
    label       = "Receives"
    expression  = "FILL(empty, 0) + FILL(received, 0)"
    return_data = true
  }

  metric_query {
    id = "empty"
    metric {
      namespace   = "AWS/SQS"
      metric_name = "NumberOfEmptyReceives"
      dimensions  = local.queue
      stat        = "Sum"
      period      = 60
    }
  }

  metric_query {
    id = "received"
    metric {
      namespace   = "AWS/SQS"
      metric_name = "NumberOfMessagesReceived"
      dimensions  = local.queue
      stat        = "Sum"
      period      = 60
    }
  }
}
