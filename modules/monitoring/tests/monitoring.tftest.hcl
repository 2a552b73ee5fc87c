mock_provider "aws" {
  override_during = plan

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:ap-northeast-1:123456789012:test-webhook-alarms" }
  }
  mock_resource "aws_cloudwatch_metric_alarm" {
    defaults = { arn = "arn:aws:cloudwatch:ap-northeast-1:123456789012:alarm:test" }
  }
}

variables {
  environment           = "test"
  queue_arn             = "arn:aws:sqs:ap-northeast-1:123456789012:test-webhook.fifo"
  dead_letter_queue_arn = "arn:aws:sqs:ap-northeast-1:123456789012:test-webhook-dlq.fifo"
  function_name         = "test-webhook-forwarder"
  routes                = { sss = {}, slow = { retry = { max_delay_seconds = 3601 } } }
  api                   = { id = "a1b2c3" }
  notifications         = { emails = ["operator@example.com"] }
}

run "an_alarm_for_everything_that_needs_an_operator" {
  command = plan

  assert {
    condition = output.runbook_sections == tolist([
      "api-client-errors", "api-server-errors", "dead-letters-arriving", "dead-letters-near-retention",
      "dead-letters-present", "function-errors", "function-throttles", "mapping-not-enabled", "nothing-delivered",
      "oldest-message-too-old",
    ])
    error_message = "are ${join(", ", output.runbook_sections)}"
  }
  assert {
    condition = output.alarm_names == sort(concat(
      [for section in output.runbook_sections : "test-webhook-${section}" if section != "nothing-delivered"],
      ["test-webhook-nothing-delivered-slow", "test-webhook-nothing-delivered-sss"],
    ))
    error_message = "are ${join(", ", output.alarm_names)}"
  }
}

run "every_alarm_is_heard_and_says_what_to_do" {
  command = plan
  variables {
    runbook_url = "https://example.com/runbook.md"
  }

  assert {
    condition = alltrue([
      for name, alarm in merge(aws_cloudwatch_metric_alarm.this, { mapping-not-enabled = aws_cloudwatch_metric_alarm.mapping_not_enabled }) :
      endswith(alarm.alarm_description, " What to do: https://example.com/runbook.md#${name}")
      ]) && alltrue([
      for alarm in aws_cloudwatch_metric_alarm.nothing_delivered : endswith(alarm.alarm_description, "runbook.md#nothing-delivered")
    ])
    error_message = "an alarm does not point to its section of the runbook"
  }
  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.this), values(aws_cloudwatch_metric_alarm.nothing_delivered), [aws_cloudwatch_metric_alarm.mapping_not_enabled]) :
      alarm.alarm_actions == toset(["arn:aws:sns:ap-northeast-1:123456789012:test-webhook-alarms"]) && alarm.ok_actions == alarm.alarm_actions
    ])
    error_message = "an alarm goes nowhere"
  }
}

run "alarms_look_at_the_right_things" {
  command = plan
  variables {
    dead_letter_retention_seconds = 400000
    thresholds                    = { oldest_message_seconds = 60, api_client_errors = 3, api_server_errors = 2 }
  }

  assert {
    condition = {
      for name, alarm in aws_cloudwatch_metric_alarm.this : name =>
      [alarm.namespace, alarm.metric_name, join(",", values(alarm.dimensions)), alarm.statistic, tostring(alarm.threshold)]
      if name != "dead-letters-present"
      } == {
      dead-letters-arriving       = ["AWS/SQS", "NumberOfMessagesSent", "test-webhook-dlq.fifo", "Sum", "1"]
      oldest-message-too-old      = ["AWS/SQS", "ApproximateAgeOfOldestMessage", "test-webhook.fifo", "Maximum", "60"]
      dead-letters-near-retention = ["AWS/SQS", "ApproximateAgeOfOldestMessage", "test-webhook-dlq.fifo", "Maximum", "300000"]
      function-errors             = ["AWS/Lambda", "Errors", "test-webhook-forwarder", "Sum", "1"]
      function-throttles          = ["AWS/Lambda", "Throttles", "test-webhook-forwarder", "Sum", "1"]
      api-client-errors           = ["AWS/ApiGateway", "4xx", "a1b2c3,$default", "Sum", "3"]
      api-server-errors           = ["AWS/ApiGateway", "5xx", "a1b2c3,$default", "Sum", "2"]
    }
    error_message = jsonencode({ for name, alarm in aws_cloudwatch_metric_alarm.this : name => [alarm.metric_name, alarm.dimensions, alarm.threshold] })
  }
  assert {
    condition     = alltrue([for alarm in values(aws_cloudwatch_metric_alarm.this) : alarm.treat_missing_data == "notBreaching" && alarm.comparison_operator == "GreaterThanOrEqualToThreshold"])
    error_message = "where nothing happens there is nothing to count"
  }
  assert {
    condition     = alltrue([for alarm in values(aws_cloudwatch_metric_alarm.this) : alarm.evaluation_periods == 1 && alarm.datapoints_to_alarm == null])
    error_message = "an alarm waits for more than one period"
  }
  assert {
    condition = {
      for query in aws_cloudwatch_metric_alarm.this["dead-letters-present"].metric_query : query.id =>
      try("${query.metric[0].stat} of ${query.metric[0].metric_name} of ${query.metric[0].dimensions.QueueName}", query.expression)
      } == {
      m0  = "Maximum of ApproximateNumberOfMessagesVisible of test-webhook-dlq.fifo"
      m1  = "Maximum of ApproximateNumberOfMessagesNotVisible of test-webhook-dlq.fifo"
      sum = "FILL(m0, 0) + FILL(m1, 0)"
    }
    error_message = "who looks at dead letters hides them: is ${jsonencode(aws_cloudwatch_metric_alarm.this["dead-letters-present"].metric_query)}"
  }
  # Each period has an attempt, so none without data stands between zeros.
  assert {
    condition = {
      for name, alarm in aws_cloudwatch_metric_alarm.nothing_delivered : name => [
        alarm.namespace, alarm.metric_name, alarm.dimensions.environment, alarm.dimensions.route, alarm.statistic,
        alarm.comparison_operator, alarm.treat_missing_data, tostring(alarm.threshold), tostring(alarm.period), tostring(alarm.evaluation_periods),
      ]
      } == {
      sss  = ["WebhookQueue", "Delivered", "test", "sss", "Sum", "LessThanThreshold", "notBreaching", "1", "300", "3"]
      slow = ["WebhookQueue", "Delivered", "test", "slow", "Sum", "LessThanThreshold", "notBreaching", "1", "3660", "3"]
    }
    error_message = jsonencode({ for name, alarm in aws_cloudwatch_metric_alarm.nothing_delivered : name => [alarm.dimensions, alarm.period, alarm.evaluation_periods] })
  }
}

run "silence_is_an_alarm" {
  command = plan
  variables {
    thresholds = { not_receiving_minutes = 30 }
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.mapping_not_enabled.treat_missing_data == "breaching"
      && aws_cloudwatch_metric_alarm.mapping_not_enabled.comparison_operator == "LessThanThreshold"
      && aws_cloudwatch_metric_alarm.mapping_not_enabled.threshold == 1
      && aws_cloudwatch_metric_alarm.mapping_not_enabled.evaluation_periods == 30
    )
    error_message = "no receives within 30 minutes must be an alarm"
  }
  assert {
    condition = toset(flatten([
      for query in aws_cloudwatch_metric_alarm.mapping_not_enabled.metric_query : [
        for metric in query.metric : "${metric.metric_name} of ${metric.dimensions.QueueName}"
      ]
    ])) == toset(["NumberOfEmptyReceives of test-webhook.fifo", "NumberOfMessagesReceived of test-webhook.fifo"])
    error_message = "receives with and without messages count"
  }
}

run "the_topic_is_encrypted_and_alarms_get_in" {
  command = plan

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == "alias/test-webhook-alarms"
    error_message = "the topic must be encrypted with the key that bootstrap has made"
  }
  assert {
    condition = [
      for statement in jsondecode(aws_sns_topic_policy.alarms.policy).Statement : [statement.Effect, statement.Action]
    ] == [["Allow", "sns:Publish"], ["Deny", "sns:Publish"]]
    error_message = "is ${aws_sns_topic_policy.alarms.policy}"
  }
  assert {
    condition     = toset(keys(aws_sns_topic_subscription.email)) == toset(["operator@example.com"])
    error_message = "each address must be subscribed"
  }
}

run "a_given_key_and_another_action" {
  command = plan
  variables {
    kms_key_arn   = "arn:aws:kms:ap-northeast-1:123456789012:key/given"
    notifications = { action_arns = ["arn:aws:sns:ap-northeast-1:123456789012:pager"] }
  }

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == "arn:aws:kms:ap-northeast-1:123456789012:key/given"
    error_message = "the given key must be used"
  }
  assert {
    condition     = contains(aws_cloudwatch_metric_alarm.this["function-errors"].alarm_actions, "arn:aws:sns:ap-northeast-1:123456789012:pager")
    error_message = "the other action must be told"
  }
}

run "the_dashboard_shows_the_way_of_a_webhook" {
  command = plan

  assert {
    condition = jsondecode(aws_cloudwatch_dashboard.webhook.dashboard_body).widgets[*].properties.title == [
      "Alarms", "Requests", "Waiting", "Age of the oldest, in seconds", "Delivered and done", "Dead letters", "Forwarder",
      "Attempts", "From acceptance to delivery, p99 in ms", "The service's answers, p99 in ms",
    ]
    error_message = "are ${join(", ", jsondecode(aws_cloudwatch_dashboard.webhook.dashboard_body).widgets[*].properties.title)}"
  }
  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.webhook.dashboard_body).widgets[0].properties.alarms) == 11
    error_message = "all alarms must be on it"
  }
}
