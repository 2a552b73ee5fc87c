output "application_route" {
  description = "Route key that the stub answers on."
  value       = aws_apigatewayv2_route.application.route_key
}

output "path" {
  description = "Path that the stub answers on; the API's endpoint goes before it."
  value       = var.path
}

output "function_name" {
  description = "Name of the stub's function."
  value       = aws_lambda_function.stub.function_name
}

output "log_group_name" {
  description = "Name of the log group that shows what the stub received."
  value       = aws_cloudwatch_log_group.stub.name
}
