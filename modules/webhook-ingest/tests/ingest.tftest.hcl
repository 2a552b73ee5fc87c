mock_provider "aws" {
  override_during = plan

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/test-webhook-ingest", unique_id = "AROAEXAMPLEINGESTROLE" }
  }
  mock_resource "aws_apigatewayv2_integration" {
    defaults = { id = "integration-1" }
  }
  mock_resource "aws_apigatewayv2_authorizer" {
    defaults = { id = "authorizer-1" }
  }
  mock_data "aws_apigatewayv2_api" {
    defaults = { execution_arn = "arn:aws:execute-api:ap-northeast-1:123456789012:a1b2c3" }
  }
  mock_data "aws_apigatewayv2_apis" {
    defaults = { ids = ["api-of-that-name"] }
  }
}

variables {
  environment = "test"
  api         = { id = "a1b2c3" }
  queue_url   = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/test-webhook.fifo"
  queue_arn   = "arn:aws:sqs:ap-northeast-1:123456789012:test-webhook.fifo"
  routes = {
    sss = {
      path         = "/sqs-hook"
      ordering_key = "$request.header.x-workflow-id"
    }
  }
}

# The file was written by the domain's `Route::request_parameters`: what API Gateway is given is, to
# the letter, what the engine evaluates.
run "request_parameters_are_the_domain_s" {
  command = plan
  variables {
    routes = jsondecode(file("tests/request-parameters.json")).config.routes
  }

  assert {
    condition = alltrue([
      for name, parameters in jsondecode(file("tests/request-parameters.json")).request_parameters :
      aws_apigatewayv2_integration.queue[name].request_parameters == tomap(parameters)
    ])
    error_message = "are ${jsonencode({ for name, integration in aws_apigatewayv2_integration.queue : name => integration.request_parameters })}"
  }
  assert {
    condition     = toset(keys(aws_apigatewayv2_integration.queue)) == toset(keys(jsondecode(file("tests/request-parameters.json")).request_parameters))
    error_message = "each route needs its integration"
  }
}

# Beside what the domain wrote: each rule by itself.
run "an_event_is_named_by_what_is_surest" {
  command = plan
  variables {
    routes = {
      given    = { path = "/given", ordering_key = "g", event_id = "$request.body.id", verify = { scheme = "svix" } }
      signed   = { path = "/signed", ordering_key = "g", verify = { scheme = "standard_webhooks" } }
      svix     = { path = "/svix", ordering_key = "g", verify = { scheme = "svix" } }
      unsigned = { path = "/unsigned", ordering_key = "g", verify = { scheme = "github" } }
      repeated = { path = "/repeated", ordering_key = "g", deduplication = "$request.header.x-id" }
      both     = { path = "/both", ordering_key = "g", deduplication = "$request.header.x-id", event_id = "a-$${request.header.y}" }
      content  = { path = "/content", ordering_key = "g", deduplication = "content" }
    }
  }

  assert {
    condition = {
      for name, integration in aws_apigatewayv2_integration.queue :
      name => jsondecode(integration.request_parameters.MessageAttributes).event_id.StringValue
      } == {
      given    = "$${request.body.id}"
      signed   = "$${request.header.webhook-id}"
      svix     = "$${request.header.svix-id}"
      unsigned = "$${context.requestId}"
      repeated = "$${request.header.x-id}"
      both     = "a-$${request.header.y}"
      content  = "$${context.requestId}"
    }
    error_message = jsonencode({ for name, integration in aws_apigatewayv2_integration.queue : name => integration.request_parameters })
  }
  assert {
    condition = {
      for name, integration in aws_apigatewayv2_integration.queue :
      name => integration.request_parameters.MessageDeduplicationId if name != "content"
      } == {
      given    = "$context.requestId"
      signed   = "$context.requestId"
      svix     = "$context.requestId"
      unsigned = "$context.requestId"
      repeated = "$request.header.x-id"
      both     = "$request.header.x-id"
    }
    error_message = "what names an event must not decide about repeats"
  }
}

run "who_sends_is_told" {
  command = plan

  assert {
    condition     = output.role_unique_id == "AROAEXAMPLEINGESTROLE"
    error_message = "is ${output.role_unique_id}"
  }
}

run "an_integration_sends_to_sqs" {
  command = plan

  assert {
    condition = (
      aws_apigatewayv2_integration.queue["sss"].api_id == "a1b2c3"
      && aws_apigatewayv2_integration.queue["sss"].integration_type == "AWS_PROXY"
      && aws_apigatewayv2_integration.queue["sss"].integration_subtype == "SQS-SendMessage"
      && aws_apigatewayv2_integration.queue["sss"].payload_format_version == "1.0"
      && aws_apigatewayv2_integration.queue["sss"].credentials_arn == aws_iam_role.ingest.arn
    )
    error_message = "not an SQS-SendMessage integration with the role's credentials"
  }
  assert {
    condition     = aws_apigatewayv2_route.webhook["sss /sqs-hook"].route_key == "POST /sqs-hook"
    error_message = "is ${aws_apigatewayv2_route.webhook["sss /sqs-hook"].route_key}"
  }
  assert {
    condition     = aws_apigatewayv2_route.webhook["sss /sqs-hook"].target == "integrations/integration-1"
    error_message = "is ${aws_apigatewayv2_route.webhook["sss /sqs-hook"].target}"
  }
  assert {
    condition     = aws_apigatewayv2_route.webhook["sss /sqs-hook"].authorization_type == "NONE"
    error_message = "is ${aws_apigatewayv2_route.webhook["sss /sqs-hook"].authorization_type}"
  }
}

run "a_former_path_is_a_route_of_its_own" {
  command = plan
  variables {
    routes = {
      sss = { path = "/sqs-hook", former_paths = ["/hook"], ordering_key = "$request.header.x-workflow-id" }
    }
    throttling = { routes = { sss = { rate_per_second = 5, burst = 2 } } }
  }

  assert {
    condition = { for at, route in aws_apigatewayv2_route.webhook : at => "${route.route_key} ${route.target}" } == {
      "sss /sqs-hook" = "POST /sqs-hook integrations/integration-1"
      "sss /hook"     = "POST /hook integrations/integration-1"
    }
    error_message = "are ${jsonencode({ for at, route in aws_apigatewayv2_route.webhook : at => route.route_key })}"
  }
  assert {
    condition     = output.route_keys == { sss = "POST /sqs-hook" }
    error_message = "are ${jsonencode(output.route_keys)}"
  }
  assert {
    condition = output.route_settings == {
      "POST /sqs-hook" = { rate_per_second = 5, burst = 2 }
      "POST /hook"     = { rate_per_second = 5, burst = 2 }
    }
    error_message = "are ${jsonencode(output.route_settings)}"
  }
}

run "the_gateway_may_only_send_to_this_queue" {
  command = plan
  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = aws_iam_role.ingest.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "the gateway's role has no boundary"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.send.policy).Statement == [{
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = ["arn:aws:sqs:ap-northeast-1:123456789012:test-webhook.fifo"]
    }]
    error_message = "is ${aws_iam_role_policy.send.policy}"
  }
  assert {
    condition     = aws_iam_role_policies_exclusive.ingest.policy_names == toset(["send-to-webhook-queue"]) && length(aws_iam_role_policy_attachments_exclusive.ingest.policy_arns) == 0
    error_message = "the role's policies must be exclusive"
  }
  assert {
    condition     = jsondecode(aws_iam_role.ingest.assume_role_policy).Statement[*].Principal == [{ Service = "apigateway.amazonaws.com" }]
    error_message = "only API Gateway may use the role"
  }
}

run "with_a_key_the_gateway_may_encrypt" {
  command = plan
  variables {
    kms_key_arn = "arn:aws:kms:ap-northeast-1:123456789012:key/1"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.send.policy).Statement[1] == {
      Effect   = "Allow"
      Action   = ["kms:GenerateDataKey", "kms:Decrypt"]
      Resource = ["arn:aws:kms:ap-northeast-1:123456789012:key/1"]
    }
    error_message = "is ${aws_iam_role_policy.send.policy}"
  }
}

run "an_api_is_found_by_its_name" {
  command = plan
  variables {
    api = { name = "sss" }
  }

  assert {
    condition     = aws_apigatewayv2_route.webhook["sss /sqs-hook"].api_id == "api-of-that-name" && output.api_id == "api-of-that-name"
    error_message = "is ${output.api_id}"
  }
}

run "throttling_per_route" {
  command = plan
  variables {
    routes = {
      sss   = { path = "/sqs-hook", ordering_key = "sss" }
      other = { path = "/other", ordering_key = "other" }
    }
    throttling = { rate_per_second = 50, burst = 20, routes = { other = { rate_per_second = 1, burst = 2 } } }
  }

  assert {
    condition = output.route_settings == {
      "POST /sqs-hook" = { rate_per_second = 50, burst = 20 }
      "POST /other"    = { rate_per_second = 1, burst = 2 }
    }
    error_message = jsonencode(output.route_settings)
  }
}

run "tokens_are_checked_by_a_jwt_authorizer" {
  command = plan
  variables {
    authorization = {
      type   = "JWT"
      jwt    = { issuer = "https://id.example.com", audience = ["webhooks"] }
      scopes = ["post"]
    }
  }

  assert {
    condition = (
      aws_apigatewayv2_route.webhook["sss /sqs-hook"].authorization_type == "JWT"
      && aws_apigatewayv2_route.webhook["sss /sqs-hook"].authorizer_id == "authorizer-1"
      && aws_apigatewayv2_route.webhook["sss /sqs-hook"].authorization_scopes == toset(["post"])
      && aws_apigatewayv2_authorizer.jwt[0].jwt_configuration[0].issuer == "https://id.example.com"
    )
    error_message = "the route does not use the authorizer"
  }
}

run "requests_are_checked_by_a_given_function" {
  command = plan
  variables {
    authorization = {
      type   = "CUSTOM"
      lambda = { function_name = "check", invoke_arn = "arn:aws:apigateway:ap-northeast-1:lambda:path/2015-03-31/functions/check/invocations" }
    }
  }

  assert {
    condition = (
      aws_apigatewayv2_route.webhook["sss /sqs-hook"].authorization_type == "CUSTOM"
      && aws_apigatewayv2_route.webhook["sss /sqs-hook"].authorizer_id == "authorizer-1"
      && aws_apigatewayv2_authorizer.lambda[0].authorizer_type == "REQUEST"
      && aws_lambda_permission.authorizer[0].function_name == "check"
      && aws_lambda_permission.authorizer[0].source_arn == "arn:aws:execute-api:ap-northeast-1:123456789012:a1b2c3/authorizers/authorizer-1"
    )
    error_message = "the route does not use the function, or the API may not call it"
  }
}

run "a_given_authorizer_is_used" {
  command = plan
  variables {
    authorization = { type = "CUSTOM", authorizer_id = "auth-1" }
  }

  assert {
    condition     = aws_apigatewayv2_route.webhook["sss /sqs-hook"].authorizer_id == "auth-1" && length(aws_apigatewayv2_authorizer.lambda) == 0
    error_message = "the route does not use the given authorizer"
  }
}

run "iam_needs_no_authorizer" {
  command = plan
  variables {
    authorization = { type = "AWS_IAM" }
  }

  assert {
    condition     = aws_apigatewayv2_route.webhook["sss /sqs-hook"].authorization_type == "AWS_IAM" && aws_apigatewayv2_route.webhook["sss /sqs-hook"].authorizer_id == null
    error_message = "the route must ask for signed requests"
  }
}
