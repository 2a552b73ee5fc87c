mock_provider "aws" {
  override_during = plan

  mock_resource "aws_apigatewayv2_api" {
    defaults = { id = "a1b2c3" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:ap-northeast-1:123456789012:log-group:/aws/apigateway/test-webhook" }
  }
}

variables {
  name = "test-webhook"
}

run "an_http_api_that_deploys_itself" {
  command = plan

  assert {
    condition     = aws_apigatewayv2_api.webhook.name == "test-webhook" && aws_apigatewayv2_api.webhook.protocol_type == "HTTP"
    error_message = "an HTTP API of the name"
  }
  assert {
    condition     = aws_apigatewayv2_stage.default.name == "$default" && aws_apigatewayv2_stage.default.auto_deploy
    error_message = "routes must be reachable without another step"
  }
}

run "every_request_is_logged_without_what_may_be_secret" {
  command = plan

  assert {
    condition     = aws_apigatewayv2_stage.default.access_log_settings[0].destination_arn == "arn:aws:logs:ap-northeast-1:123456789012:log-group:/aws/apigateway/test-webhook"
    error_message = "the access log must be on"
  }
  assert {
    condition = alltrue([
      for field in ["requestId", "routeKey", "status", "integrationStatus", "integrationErrorMessage"] :
      contains(keys(jsondecode(aws_apigatewayv2_stage.default.access_log_settings[0].format)), field)
    ])
    error_message = "is ${aws_apigatewayv2_stage.default.access_log_settings[0].format}"
  }
  assert {
    condition     = length(regexall("\\$context\\.path|querystring|header|body", aws_apigatewayv2_stage.default.access_log_settings[0].format)) == 0
    error_message = "paths, query strings, headers and bodies may hold secrets"
  }
  assert {
    condition     = length(aws_apigatewayv2_stage.default.access_log_settings[0].format) <= 3072
    error_message = "API Gateway takes 3 KB"
  }
  assert {
    condition     = aws_cloudwatch_log_group.access.retention_in_days == 30
    error_message = "log lines must not be kept for ever"
  }
}

run "throttled_by_default_and_by_route" {
  command = plan
  variables {
    throttling     = { rate_per_second = 10, burst = 20 }
    route_settings = { "POST /sqs-hook" = { rate_per_second = 1, burst = 2 } }
  }

  assert {
    condition     = aws_apigatewayv2_stage.default.default_route_settings[0].throttling_rate_limit == 10 && aws_apigatewayv2_stage.default.default_route_settings[0].throttling_burst_limit == 20
    error_message = "the default's limits"
  }
  assert {
    condition = [
      for settings in aws_apigatewayv2_stage.default.route_settings :
      [settings.route_key, settings.throttling_rate_limit, settings.throttling_burst_limit]
    ] == [["POST /sqs-hook", 1, 2]]
    error_message = "the route's limits"
  }
}

run "name_with_a_space" {
  command         = plan
  expect_failures = [var.name]
  variables {
    name = "my api"
  }
}

run "description_too_long" {
  command         = plan
  expect_failures = [var.description]
  variables {
    description = join("", [for n in range(513) : "xx"])
  }
}

run "throttled_to_nothing" {
  command         = plan
  expect_failures = [var.throttling]
  variables {
    throttling = { burst = 0 }
  }
}

run "route_throttled_to_nothing" {
  command         = plan
  expect_failures = [var.route_settings]
  variables {
    route_settings = { "POST /sqs-hook" = { rate_per_second = 0, burst = 1 } }
  }
}

run "retention_that_cloudwatch_has_not" {
  command         = plan
  expect_failures = [var.logs]
  variables {
    logs = { retention_days = 10 }
  }
}
