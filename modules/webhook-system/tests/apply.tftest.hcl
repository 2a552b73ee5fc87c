# Applied with a mocked provider, and destroyed after the test: API, routes and stage wait for each
# other, but in no circle.
mock_provider "aws" {
  mock_resource "aws_sqs_queue" {
    defaults = {
      arn = "arn:aws:sqs:ap-northeast-1:123456789012:mock.fifo"
      url = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/mock.fifo"
      id  = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/mock.fifo"
    }
  }
  mock_resource "aws_apigatewayv2_api" {
    defaults = { id = "made" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:ap-northeast-1:123456789012:log-group:mock" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:ap-northeast-1:123456789012:function:mock", version = "7" }
  }
  mock_resource "aws_lambda_alias" {
    defaults = { arn = "arn:aws:lambda:ap-northeast-1:123456789012:function:mock:live" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:ap-northeast-1:123456789012:mock" }
  }
  mock_data "aws_apigatewayv2_api" {
    defaults = {
      api_endpoint  = "https://api.example.com"
      execution_arn = "arn:aws:execute-api:ap-northeast-1:123456789012:mock"
    }
  }
  mock_data "aws_apigatewayv2_apis" {
    defaults = { ids = ["by-name"] }
  }
}

# The dead-letter queue must be another than the webhook queue.
override_resource {
  target = module.queue.aws_sqs_queue.dead_letter
  values = {
    arn = "arn:aws:sqs:ap-northeast-1:123456789012:mock-dlq.fifo"
    url = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/mock-dlq.fifo"
    id  = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/mock-dlq.fifo"
  }
}

variables {
  environment = "test"
  artifact    = { path = "function.zip", code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  routes = {
    sss = {
      path         = "/sqs-hook"
      ordering_key = "$request.header.x-workflow-id"
      destinations = [{ name = "sss", url = "https://sss.example.com/application-hook" }]
    }
  }
  aws = { notifications = { emails = ["operator@example.com"] } }
}

# That the routes fit is seen before anything is made.
run "what_the_function_is_told_is_planned" {
  command = plan

  assert {
    condition = (
      contains(keys(module.forwarder.variables), "WEBHOOK_QUEUE_INGEST_SENDER")
      && jsondecode(module.forwarder.variables.WEBHOOK_QUEUE_CONFIG).environment == "test"
    )
    error_message = "are ${join(", ", keys(module.forwarder.variables))}"
  }
}

run "made" {
  variables {
    stub_artifact = { path = "stub.zip", code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
    aws = {
      sss_stub      = true
      notifications = { emails = ["operator@example.com"] }
    }
  }

  assert {
    condition     = output.api_id == "made" && output.stub_url == "https://api.example.com/application-hook"
    error_message = "is ${jsonencode(output.stub_url)} on ${output.api_id}"
  }
}

run "without_the_stub" {
  assert {
    condition     = output.event_source_mapping_uuid == run.made.event_source_mapping_uuid && output.stub_url == null
    error_message = "something else than the stub was replaced"
  }
}
