locals {
  # arn:PARTITION:sqs:REGION:ACCOUNT:NAME
  partition              = split(":", var.queue_arn)[1]
  region                 = split(":", var.queue_arn)[3]
  account_id             = split(":", var.queue_arn)[4]
  queue_name             = split(":", var.queue_arn)[5]
  dead_letter_queue_name = split(":", var.dead_letter_queue_arn)[5]

  queue       = { QueueName = local.queue_name }
  dead_letter = { QueueName = local.dead_letter_queue_name }
  function    = { FunctionName = var.function_name }
  api         = { ApiId = var.api.id, Stage = var.api.stage }

  # In which a failing event of the route is attempted once at least: whole minutes, and five.
  attempt_periods_seconds = {
    for name, route in var.routes : name => max(300, 60 * ceil(route.retry.max_delay_seconds / 60))
  }

  actions = setunion([aws_sns_topic.alarms.arn], var.notifications.action_arns)
}
