# Each alarm is named after a section of the runbook. Where nothing happens there is nothing to
# count, so missing data is good, but for the one alarm that is about silence.
locals {
  alarms = {
    # With those that are hidden: an operator who looks at dead letters hides them for a while.
    dead-letters-present = {
      description = "Webhooks could not be delivered and wait in the dead-letter queue."
      namespace   = "AWS/SQS"
      metrics     = ["ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"]
      dimensions  = local.dead_letter
      statistic   = "Maximum"
      period      = 60
      threshold   = 1
    }
    # Rings again, while others are still there: whenever some arrive after a period without.
    dead-letters-arriving = {
      description = "Webhooks are being given up or rejected: they arrive in the dead-letter queue."
      namespace   = "AWS/SQS"
      metrics     = ["NumberOfMessagesSent"]
      dimensions  = local.dead_letter
      statistic   = "Sum"
      period      = 300
      threshold   = 1
    }
    oldest-message-too-old = {
      description = "A webhook has waited for ${var.thresholds.oldest_message_seconds} seconds: the service is down, or deliveries are too slow."
      namespace   = "AWS/SQS"
      metrics     = ["ApproximateAgeOfOldestMessage"]
      dimensions  = local.queue
      statistic   = "Maximum"
      period      = 60
      threshold   = var.thresholds.oldest_message_seconds
    }
    dead-letters-near-retention = {
      description = "A dead letter will soon be deleted by SQS: it has reached ${var.thresholds.dead_letter_age_share * 100} % of its time."
      namespace   = "AWS/SQS"
      metrics     = ["ApproximateAgeOfOldestMessage"]
      dimensions  = local.dead_letter
      statistic   = "Maximum"
      period      = 300
      threshold   = floor(var.dead_letter_retention_seconds * var.thresholds.dead_letter_age_share)
    }
    function-errors = {
      description = "The forwarder crashed, timed out or could not start. A delivery that fails is no such error."
      namespace   = "AWS/Lambda"
      metrics     = ["Errors"]
      dimensions  = local.function
      statistic   = "Sum"
      period      = 300
      threshold   = 1
    }
    function-throttles = {
      description = "Lambda refused to start the forwarder: the account's concurrency is used up, or reserved_concurrency is below max_concurrency."
      namespace   = "AWS/Lambda"
      metrics     = ["Throttles"]
      dimensions  = local.function
      statistic   = "Sum"
      period      = 300
      threshold   = 1
    }
    api-client-errors = {
      description = "The API refuses requests (4xx): a header is missing, a token is wrong, or there are too many requests."
      namespace   = "AWS/ApiGateway"
      metrics     = ["4xx"]
      dimensions  = local.api
      statistic   = "Sum"
      period      = 300
      threshold   = var.thresholds.api_client_errors
    }
    api-server-errors = {
      description = "The API fails (5xx): webhooks may be lost unless the SaaS sends them again."
      namespace   = "AWS/ApiGateway"
      metrics     = ["5xx"]
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
  namespace           = length(each.value.metrics) == 1 ? each.value.namespace : null
  metric_name         = one([for metric in each.value.metrics : metric if length(each.value.metrics) == 1])
  dimensions          = length(each.value.metrics) == 1 ? each.value.dimensions : null
  statistic           = length(each.value.metrics) == 1 ? each.value.statistic : null
  period              = length(each.value.metrics) == 1 ? each.value.period : null
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions

  # More than one metric: their sum.
  dynamic "metric_query" {
    for_each = length(each.value.metrics) == 1 ? [] : each.value.metrics
    content {
      id = "m${metric_query.key}"
      metric {
        namespace   = each.value.namespace
        metric_name = metric_query.value
        dimensions  = each.value.dimensions
        stat        = each.value.statistic
        period      = each.value.period
      }
    }
  }
  dynamic "metric_query" {
    for_each = length(each.value.metrics) == 1 ? [] : ["sum"]
    content {
      id          = metric_query.value
      label       = each.key
      expression  = join(" + ", [for position in range(length(each.value.metrics)) : "FILL(m${position}, 0)"])
      return_data = true
    }
  }
}

# By what the forwarder counts itself: whether SQS's age of the oldest message counts one that was
# received again and again, as all are while the service is down, AWS does not say. With every attempt
# that fails it counts 0 deliveries; so a route where nothing happens has no data, and one where nothing
# but failures happens has zeros.
resource "aws_cloudwatch_metric_alarm" "nothing_delivered" {
  for_each = var.routes

  alarm_name          = "${var.environment}-webhook-nothing-delivered-${each.key}"
  alarm_description   = "Of route ${each.key} every delivery fails: the service is down, or refuses everything. What to do: ${var.runbook_url}#nothing-delivered"
  namespace           = "WebhookQueue"
  metric_name         = "Delivered"
  dimensions          = { environment = var.environment, route = each.key }
  statistic           = "Sum"
  period              = local.attempt_periods_seconds[each.key]
  evaluation_periods  = min(3, floor(86400 / local.attempt_periods_seconds[each.key]))
  comparison_operator = "LessThanThreshold"
  threshold           = 1
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
