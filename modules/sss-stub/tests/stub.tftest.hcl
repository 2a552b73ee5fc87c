mock_provider "aws" {
  override_during = plan

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/test-webhook-sss-stub" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:ap-northeast-1:123456789012:log-group:/aws/lambda/test-webhook-sss-stub" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { invoke_arn = "arn:aws:apigateway:ap-northeast-1:lambda:path/2015-03-31/functions/stub/invocations" }
  }
  mock_resource "aws_apigatewayv2_integration" {
    defaults = { id = "integration-1" }
  }
}

variables {
  environment       = "test"
  api_id            = "a1b2c3"
  api_execution_arn = "arn:aws:execute-api:ap-northeast-1:123456789012:a1b2c3"
  artifact          = { path = "stub.zip", code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
}

run "answers_on_the_application_s_route" {
  command = plan

  assert {
    condition     = output.application_route == "POST /application-hook"
    error_message = "is ${output.application_route}"
  }
  assert {
    condition = (
      aws_apigatewayv2_route.application.target == "integrations/integration-1"
      && aws_apigatewayv2_integration.stub.integration_uri == aws_lambda_function.stub.invoke_arn
      && aws_apigatewayv2_integration.stub.payload_format_version == "2.0"
    )
    error_message = "the route must call the function"
  }
  assert {
    condition     = aws_lambda_permission.api.source_arn == "arn:aws:execute-api:ap-northeast-1:123456789012:a1b2c3/*/POST/application-hook"
    error_message = "only the route may call the function, is ${aws_lambda_permission.api.source_arn}"
  }
}

run "may_only_log" {
  command = plan

  assert {
    condition = jsondecode(aws_iam_role_policy.logs.policy).Statement == [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["arn:aws:logs:ap-northeast-1:123456789012:log-group:/aws/lambda/test-webhook-sss-stub:*"]
    }]
    error_message = "is ${aws_iam_role_policy.logs.policy}"
  }
  assert {
    condition     = aws_iam_role_policies_exclusive.stub.policy_names == toset(["write-logs"]) && length(aws_iam_role_policy_attachments_exclusive.stub.policy_arns) == 0
    error_message = "the role's policies must be exclusive"
  }
  assert {
    condition     = aws_cloudwatch_log_group.stub.retention_in_days == 7
    error_message = "log lines must not be kept for ever"
  }
}

run "environment_in_capitals" {
  command         = plan
  expect_failures = [var.environment]
  variables {
    environment = "Prod"
  }
}

run "api_by_its_own_arn" {
  command         = plan
  expect_failures = [var.api_execution_arn]
  variables {
    api_execution_arn = "arn:aws:apigateway:ap-northeast-1::/apis/a1b2c3"
  }
}

run "path_with_a_parameter" {
  command         = plan
  expect_failures = [var.path]
  variables {
    path = "/{tenant}"
  }
}

run "artifact_by_hexadecimal_digest" {
  command         = plan
  expect_failures = [var.artifact]
  variables {
    artifact = { path = "stub.zip", code_sha256 = "e3b0c442" }
  }
}

run "artifact_from_nowhere" {
  command         = plan
  expect_failures = [var.artifact]
  variables {
    artifact = { code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }
}

run "object_version_of_a_file" {
  command         = plan
  expect_failures = [var.artifact]
  variables {
    artifact = { path = "stub.zip", object_version = "v", code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }
}

run "architecture_of_another_world" {
  command         = plan
  expect_failures = [var.artifact]
  variables {
    artifact = { path = "stub.zip", architecture = "amd64", code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }
}

run "longer_than_the_api_waits" {
  command         = plan
  expect_failures = [var.timeout_seconds]
  variables {
    timeout_seconds = 30
  }
}

run "retention_that_cloudwatch_has_not" {
  command         = plan
  expect_failures = [var.logs]
  variables {
    logs = { retention_days = 10 }
  }
}
