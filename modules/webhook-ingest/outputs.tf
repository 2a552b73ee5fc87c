output "api_id" {
  description = "Id of the HTTP API."
  value       = local.api_id
}

output "api_endpoint" {
  description = "URL of the HTTP API, without stage and path."
  value       = data.aws_apigatewayv2_api.ingest.api_endpoint
}

output "execution_arn" {
  description = "ARN by which functions allow this API to call them."
  value       = data.aws_apigatewayv2_api.ingest.execution_arn
}

output "route_keys" {
  description = "Route key, such as `POST /sqs-hook`, of today's path, by the route's name."
  value       = { for name, route in var.routes : name => aws_apigatewayv2_route.webhook["${name} ${route.path}"].route_key }
}

output "integration_ids" {
  description = "Id of the integration, by the route's name. A new one whenever the route's request parameters change."
  value       = { for name, integration in aws_apigatewayv2_integration.queue : name => integration.id }
}

output "request_parameters" {
  description = "What becomes of a request, by the route's name: the parameters of `SQS-SendMessage`."
  value       = { for name, integration in aws_apigatewayv2_integration.queue : name => integration.request_parameters }
}

output "route_settings" {
  description = "Throttling by route key, for the API's stage: the input `route_settings` of the module http-api."
  value = {
    for at, route in aws_apigatewayv2_route.webhook : route.route_key => {
      rate_per_second = try(var.throttling.routes[local.paths[at].route].rate_per_second, var.throttling.rate_per_second)
      burst           = try(var.throttling.routes[local.paths[at].route].burst, var.throttling.burst)
    }
  }
}

output "role_arn" {
  description = "ARN of the role by which API Gateway sends to the queue."
  value       = aws_iam_role.ingest.arn
}

output "role_unique_id" {
  description = "Unique id of that role, such as `AROA…`, with which the `SenderId` of what it sends begins: the input `ingest_sender` of the module webhook-forwarder."
  value       = aws_iam_role.ingest.unique_id
}
