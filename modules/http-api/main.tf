resource "aws_apigatewayv2_api" "webhook" {
  name          = var.name
  description   = var.description
  protocol_type = "HTTP"
}

resource "aws_cloudwatch_log_group" "access" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts with its own keys; logs.kms_key_arn takes another
  #checkov:skip=CKV_AWS_338:how long lines are kept is the environment's choice (logs.retention_days); they hold no bodies
  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.logs.retention_days
  kms_key_id        = var.logs.kms_key_arn
}

locals {
  # Who asked for what, and what became of it. No path, query string, header or body: they may hold
  # secrets, and the route key says enough.
  access_log_fields = {
    requestId               = "$context.requestId"
    requestTimeEpoch        = "$context.requestTimeEpoch"
    routeKey                = "$context.routeKey"
    status                  = "$context.status"
    responseLength          = "$context.responseLength"
    responseLatency         = "$context.responseLatency"
    dataProcessed           = "$context.dataProcessed"
    integrationStatus       = "$context.integration.status"
    integrationRequestId    = "$context.integration.requestId"
    integrationLatency      = "$context.integrationLatency"
    integrationErrorMessage = "$context.integrationErrorMessage"
    errorMessage            = "$context.error.message"
    errorResponseType       = "$context.error.responseType"
    authorizerError         = "$context.authorizer.error"
    sourceIp                = "$context.identity.sourceIp"
    userAgent               = "$context.identity.userAgent"
  }
}

resource "aws_apigatewayv2_stage" "default" {
  api_id      = aws_apigatewayv2_api.webhook.id
  name        = "$default"
  auto_deploy = true

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format          = jsonencode(local.access_log_fields)
  }

  # Both numbers, always: one that is left out is sent as 0, which refuses everything.
  default_route_settings {
    throttling_rate_limit    = var.throttling.rate_per_second
    throttling_burst_limit   = var.throttling.burst
    detailed_metrics_enabled = var.detailed_metrics
  }

  dynamic "route_settings" {
    for_each = var.route_settings
    content {
      route_key                = route_settings.key
      throttling_rate_limit    = route_settings.value.rate_per_second
      throttling_burst_limit   = route_settings.value.burst
      detailed_metrics_enabled = var.detailed_metrics
    }
  }
}
