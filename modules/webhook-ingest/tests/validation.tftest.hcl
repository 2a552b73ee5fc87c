mock_provider "aws" {}

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

run "environment_in_capitals" {
  command         = plan
  expect_failures = [var.environment]
  variables {
    environment = "Prod"
  }
}

run "api_by_nothing" {
  command         = plan
  expect_failures = [var.api]
  variables {
    api = {}
  }
}

run "api_by_both" {
  command         = plan
  expect_failures = [var.api]
  variables {
    api = { id = "a", name = "b" }
  }
}

run "no_routes" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {}
  }
}

run "route_name_with_underscore" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss_2 = { path = "/a", ordering_key = "g" } }
  }
}

run "path_without_slash" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "a", ordering_key = "g" } }
  }
}

run "path_of_nothing" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/", ordering_key = "g" } }
  }
}

run "path_with_empty_segment" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a//b", ordering_key = "g" } }
  }
}

run "path_that_takes_all" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/{proxy+}", ordering_key = "g" } }
  }
}

run "path_with_half_a_parameter" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a{b}", ordering_key = "g" } }
  }
}

run "path_with_a_parameter_twice" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/{a}/{a}", ordering_key = "g" } }
  }
}

run "two_routes_of_one_shape" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { a = { path = "/{x}/h", ordering_key = "g" }, b = { path = "/{y}/h", ordering_key = "g" } }
  }
}

run "ordering_key_of_nothing" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "" } }
  }
}

run "ordering_key_of_an_unknown_variable" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "$request.headers.x" } }
  }
}

run "ordering_key_with_a_filter" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "$request.body.items[?(@.a)]" } }
  }
}

run "ordering_key_unclosed" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = join("{", ["a-$", "request.header.x"]) } }
  }
}

run "ordering_key_with_a_space" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "a b" } }
  }
}

run "ordering_key_too_long" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = join("", [for n in range(129) : "x"]) } }
  }
}

run "deduplication_by_fixed_text" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", deduplication = "requets" } }
  }
}

run "deduplication_by_two_dots" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", deduplication = "$request.body.a..b" } }
  }
}

run "deduplication_with_a_backslash" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", deduplication = "\\-$${request.header.x}" } }
  }
}

run "deduplication_by_what_a_forger_may_choose" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", deduplication = "$request.header.x-github-delivery", verify = { scheme = "github" } } }
  }
}

run "deduplication_by_the_body_a_forger_may_choose" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", deduplication = "content", verify = { scheme = "github" } } }
  }
}

run "event_id_of_fixed_text" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", event_id = "request" } }
  }
}

run "event_id_of_an_unknown_variable" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", event_id = "$request.headers.x" } }
  }
}

run "event_id_with_a_backslash" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", event_id = "\\-$${request.header.x}" } }
  }
}

run "event_id_of_a_path_parameter_that_is_not_there" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", event_id = "$request.path.id" } }
  }
}

run "path_parameter_that_is_not_there" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "$request.path.id" } }
  }
}

run "too_many_headers" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", pass_headers = [for n in range(41) : "h${n}"] } }
  }
}

run "too_many_headers_with_those_of_verify" {
  command         = plan
  expect_failures = [aws_apigatewayv2_integration.queue]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", pass_headers = [for n in range(38) : "h${n}"], verify = { scheme = "standard_webhooks" } }
    }
  }
}

run "many_headers_with_those_of_verify" {
  command = plan
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", pass_headers = concat([for n in range(37) : "h${n}"], ["Webhook-Timestamp"]), verify = { scheme = "standard_webhooks" } }
    }
  }
}

run "unknown_scheme" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", verify = { scheme = "paypal" } } }
  }
}

run "signature_in_a_reserved_header" {
  command         = plan
  expect_failures = [aws_apigatewayv2_integration.queue]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", verify = { scheme = "hmac", hmac = { header = "Authorization" } } } }
  }
}

run "token_in_a_reserved_header" {
  command         = plan
  expect_failures = [aws_apigatewayv2_integration.queue]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", verify = { scheme = "token", token = { header = "Authorization" } } } }
  }
}

run "token_that_is_passed_on" {
  command         = plan
  expect_failures = [aws_apigatewayv2_integration.queue]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", pass_headers = ["X-Gitlab-Token"], verify = { scheme = "gitlab" } } }
  }
}

run "token_as_ordering_key" {
  command         = plan
  expect_failures = [aws_apigatewayv2_integration.queue]
  variables {
    routes = { sss = { path = "/a", ordering_key = "$request.header.X-Acme-Token", verify = { scheme = "token", token = { header = "x-acme-token" } } } }
  }
}

run "token_as_event_id" {
  command         = plan
  expect_failures = [aws_apigatewayv2_integration.queue]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", event_id = "a-$${request.header.X-Gitlab-Token}", verify = { scheme = "gitlab" } } }
  }
}

run "header_with_a_space" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", pass_headers = ["a b"] } }
  }
}

run "header_of_the_connection" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", pass_headers = ["Host"] } }
  }
}

run "header_reserved_by_aws" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", pass_headers = ["x-amzn-trace-id"] } }
  }
}

run "header_twice" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", pass_headers = ["x-a", "X-A"] } }
  }
}

run "standard_queue_url" {
  command         = plan
  expect_failures = [var.queue_url]
  variables {
    queue_url = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/test"
  }
}

run "standard_queue_arn" {
  command         = plan
  expect_failures = [var.queue_arn]
  variables {
    queue_arn = "arn:aws:sqs:ap-northeast-1:123456789012:test"
  }
}

run "key_by_alias" {
  command         = plan
  expect_failures = [var.kms_key_arn]
  variables {
    kms_key_arn = "alias/webhook"
  }
}

run "authorization_of_an_unknown_type" {
  command         = plan
  expect_failures = [var.authorization]
  variables {
    authorization = { type = "BASIC" }
  }
}

run "jwt_without_authorizer" {
  command         = plan
  expect_failures = [var.authorization]
  variables {
    authorization = { type = "JWT" }
  }
}

run "iam_with_authorizer" {
  command         = plan
  expect_failures = [var.authorization]
  variables {
    authorization = { type = "AWS_IAM", authorizer_id = "a" }
  }
}

run "custom_with_jwt" {
  command         = plan
  expect_failures = [var.authorization]
  variables {
    authorization = { type = "CUSTOM", jwt = { issuer = "https://id.example.com", audience = ["a"] } }
  }
}

run "jwt_with_lambda" {
  command         = plan
  expect_failures = [var.authorization]
  variables {
    authorization = { type = "JWT", lambda = { function_name = "f", invoke_arn = "a" } }
  }
}

run "scopes_without_jwt" {
  command         = plan
  expect_failures = [var.authorization]
  variables {
    authorization = { type = "CUSTOM", authorizer_id = "a", scopes = ["s"] }
  }
}

run "jwt_over_plain_text" {
  command         = plan
  expect_failures = [var.authorization]
  variables {
    authorization = { type = "JWT", jwt = { issuer = "http://id.example.com", audience = ["a"] } }
  }
}

run "jwt_for_anybody" {
  command         = plan
  expect_failures = [var.authorization]
  variables {
    authorization = { type = "JWT", jwt = { issuer = "https://id.example.com", audience = [] } }
  }
}

run "decision_kept_too_long" {
  command         = plan
  expect_failures = [var.authorization]
  variables {
    authorization = { type = "CUSTOM", lambda = { function_name = "f", invoke_arn = "a", result_ttl_seconds = 3601 } }
  }
}

run "throttled_to_nothing" {
  command         = plan
  expect_failures = [var.throttling]
  variables {
    throttling = { burst = 0 }
  }
}

run "throttling_of_a_route_that_is_not_there" {
  command         = plan
  expect_failures = [var.throttling]
  variables {
    throttling = { routes = { ssss = { rate_per_second = 1, burst = 1 } } }
  }
}

run "a_former_path_of_another_s" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss   = { path = "/sqs-hook", ordering_key = "a" }
      other = { path = "/other", former_paths = ["/sqs-hook"], ordering_key = "b" }
    }
  }
}

run "a_former_path_that_is_none" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/sqs-hook", former_paths = ["sqs-hook"], ordering_key = "a" } }
  }
}

run "a_former_path_without_the_parameter" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/hooks/{tenant}", former_paths = ["/hooks"], ordering_key = "$request.path.tenant" } }
  }
}
