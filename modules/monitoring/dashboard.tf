# Read from the left to the right as a webhook goes: taken, waiting, delivered; below, what went wrong.
locals {
  widgets = [
    {
      title = "Requests"
      metrics = [
        ["AWS/ApiGateway", "Count", "ApiId", var.api.id, "Stage", var.api.stage, { stat = "Sum", label = "requests" }],
        ["AWS/ApiGateway", "4xx", "ApiId", var.api.id, "Stage", var.api.stage, { stat = "Sum", label = "refused (4xx)" }],
        ["AWS/ApiGateway", "5xx", "ApiId", var.api.id, "Stage", var.api.stage, { stat = "Sum", label = "failed (5xx)" }],
      ]
    },
    {
      title = "Waiting"
      metrics = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.queue_name, { stat = "Maximum", label = "waiting" }],
        ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", local.queue_name, { stat = "Maximum", label = "in flight" }],
      ]
    },
    {
      title = "Age of the oldest, in seconds"
      metrics = [
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", local.queue_name, { stat = "Maximum", label = "webhook" }],
      ]
    },
    {
      title = "Delivered and done"
      metrics = [
        ["AWS/SQS", "NumberOfMessagesSent", "QueueName", local.queue_name, { stat = "Sum", label = "accepted" }],
        ["AWS/SQS", "NumberOfMessagesDeleted", "QueueName", local.queue_name, { stat = "Sum", label = "delivered or dead-lettered" }],
      ]
    },
    {
      title = "Dead letters"
      metrics = [
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.dead_letter_queue_name, { stat = "Maximum", label = "dead letters" }],
        ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", local.dead_letter_queue_name, { stat = "Maximum", label = "age of the oldest, in seconds", yAxis = "right" }],
      ]
    },
    {
      title = "Forwarder"
      metrics = [
        ["AWS/Lambda", "Invocations", "FunctionName", var.function_name, { stat = "Sum", label = "invocations" }],
        ["AWS/Lambda", "Errors", "FunctionName", var.function_name, { stat = "Sum", label = "errors" }],
        ["AWS/Lambda", "Throttles", "FunctionName", var.function_name, { stat = "Sum", label = "throttles" }],
        ["AWS/Lambda", "Duration", "FunctionName", var.function_name, { stat = "p99", label = "duration p99, in ms", yAxis = "right" }],
      ]
    },
    # The forwarder's own metrics, a line for each route. Source: CloudWatch guide, "Search expressions".
    {
      title = "Attempts"
      metrics = [
        for name, label in { Delivered = "delivered", Failed = "failed", DeadLettered = "dead-lettered" } :
        [{ expression = "SEARCH('{WebhookQueue,environment,route} environment=\"${var.environment}\" MetricName=\"${name}\"', 'Sum', 60)", label = label }]
      ]
    },
    {
      title   = "From acceptance to delivery, p99 in ms"
      metrics = [[{ expression = "SEARCH('{WebhookQueue,environment,route} environment=\"${var.environment}\" MetricName=\"AgeAtDelivery\"', 'p99', 60)" }]]
    },
    {
      title   = "The service's answers, p99 in ms"
      metrics = [[{ expression = "SEARCH('{WebhookQueue,environment,route} environment=\"${var.environment}\" MetricName=\"Latency\"', 'p99', 60)" }]]
    },
  ]
}

resource "aws_cloudwatch_dashboard" "webhook" {
  dashboard_name = "${var.environment}-webhook"

  dashboard_body = jsonencode({
    widgets = concat(
      [{
        type   = "alarm"
        x      = 0
        y      = 0
        width  = 24
        height = 3
        properties = {
          title = "Alarms"
          alarms = concat(
            [for alarm in values(aws_cloudwatch_metric_alarm.this) : alarm.arn],
            [for alarm in values(aws_cloudwatch_metric_alarm.nothing_delivered) : alarm.arn],
            [aws_cloudwatch_metric_alarm.mapping_not_enabled.arn],
          )
        }
      }],
      [for position, widget in local.widgets : {
        type   = "metric"
        x      = position % 3 * 8
        y      = 3 + floor(position / 3) * 6
        width  = 8
        height = 6
        properties = {
          title   = widget.title
          region  = local.region
          period  = 60
          view    = "timeSeries"
          metrics = widget.metrics
        }
      }],
    )
  })
}
