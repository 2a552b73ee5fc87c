output "topic_arn" {
  description = "ARN of the topic that alarms go to."
  value       = aws_sns_topic.alarms.arn
}

output "alarm_names" {
  description = "Names of the alarms."
  value = sort(concat(
    [for alarm in values(aws_cloudwatch_metric_alarm.this) : alarm.alarm_name],
    [for alarm in values(aws_cloudwatch_metric_alarm.nothing_delivered) : alarm.alarm_name],
    [aws_cloudwatch_metric_alarm.mapping_not_enabled.alarm_name],
  ))
}

output "runbook_sections" {
  description = "Sections that the runbook must have: one for each alarm, those of the routes aside, which share one."
  value       = sort(concat(keys(aws_cloudwatch_metric_alarm.this), ["mapping-not-enabled", "nothing-delivered"]))
}

output "api" {
  description = "Id and stage of the API that the alarms watch."
  value       = var.api
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.webhook.dashboard_name
}
