output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.forwarder.function_name
}

output "function_arn" {
  description = "ARN of the function, without version."
  value       = aws_lambda_function.forwarder.arn
}

output "function_version" {
  description = "The published version that delivers."
  value       = aws_lambda_alias.live.function_version
}

output "code_sha256" {
  description = "SHA-256 of the code that runs, in base64, as Lambda computed it."
  value       = aws_lambda_function.forwarder.code_sha256
}

output "alias_arn" {
  description = "ARN of the alias `live`, which the queue's messages go to."
  value       = aws_lambda_alias.live.arn
}

output "event_source_mapping_uuid" {
  description = "Id of the event source mapping, which is paused and resumed."
  value       = aws_lambda_event_source_mapping.queue.uuid
}

output "enabled" {
  description = "Whether the event source mapping delivers: as it is made, and as operators have left it since."
  value       = aws_lambda_event_source_mapping.queue.enabled
}

output "variables" {
  description = "The function's variables, by name: what the forwarder is told."
  value       = aws_lambda_function.forwarder.environment[0].variables
}

output "role_arn" {
  description = "ARN of the function's role."
  value       = aws_iam_role.forwarder.arn
}

output "log_group_name" {
  description = "Name of the function's log group."
  value       = aws_cloudwatch_log_group.forwarder.name
}
