output "api_id" {
  description = "Id of the API."
  value       = aws_apigatewayv2_api.webhook.id
}

output "api_endpoint" {
  description = "URL of the API; a route's path follows it."
  value       = aws_apigatewayv2_api.webhook.api_endpoint
}

output "execution_arn" {
  description = "ARN by which functions allow this API to call them."
  value       = aws_apigatewayv2_api.webhook.execution_arn
}

output "stage_name" {
  description = "Name of the stage."
  value       = aws_apigatewayv2_stage.default.name
}

output "log_group_name" {
  description = "Name of the access log's group."
  value       = aws_cloudwatch_log_group.access.name
}
