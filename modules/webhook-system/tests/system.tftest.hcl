mock_provider "aws" {
  override_during = plan

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
    defaults = { arn = "arn:aws:iam::123456789012:role/mock", unique_id = "AROAEXAMPLEOFANYROLE" }
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
  target          = module.queue.aws_sqs_queue.dead_letter
  override_during = plan
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

run "little_must_be_said" {
  command = plan

  assert {
    condition = (
      output.ingest_urls == { sss = "https://api.example.com/sqs-hook" }
      && output.api_id == "made"
      && output.function_name == "test-webhook-forwarder"
      && output.function_version == "7"
      && output.log_group_name == "/aws/lambda/test-webhook-forwarder"
      && output.dashboard_name == "test-webhook"
      && output.stub_url == null
      && endswith(output.queue_url, "/mock.fifo")
      && endswith(output.dead_letter_queue_url, "/mock-dlq.fifo")
    )
    error_message = "an output is not what the modules made: ${jsonencode(output.ingest_urls)}, ${output.api_id}"
  }
  assert {
    condition     = module.http_api[0].log_group_name == "/aws/apigateway/test-webhook"
    error_message = "the API must be named so that the deploying role may make it: is ${module.http_api[0].log_group_name}"
  }
}

run "the_forwarder_knows_who_the_ingest_is" {
  command = plan

  override_resource {
    target          = module.ingest.aws_iam_role.ingest
    override_during = plan
    values = {
      arn       = "arn:aws:iam::123456789012:role/test-webhook-ingest"
      unique_id = "AROAEXAMPLEINGESTROLE"
    }
  }

  assert {
    condition     = module.forwarder.variables.WEBHOOK_QUEUE_INGEST_SENDER == "AROAEXAMPLEINGESTROLE"
    error_message = "are ${jsonencode(module.forwarder.variables)}"
  }
}

run "an_api_that_is_there_is_used" {
  command = plan
  variables {
    aws = {
      api           = { name = "sss" }
      notifications = { emails = ["operator@example.com"] }
    }
  }

  assert {
    condition     = length(module.http_api) == 0 && output.api_id == "by-name"
    error_message = "an API was made, or another is used: ${output.api_id}"
  }
}

run "an_api_can_be_given_by_its_id" {
  command = plan
  variables {
    aws = {
      api           = { id = "a1b2c3" }
      notifications = { emails = ["operator@example.com"] }
    }
  }

  assert {
    condition     = length(module.http_api) == 0 && output.api_id == "a1b2c3"
    error_message = "an API was made, or another is used: ${output.api_id}"
  }
}

# Its URLs have the stage's name, and its alarms watch that stage.
run "an_api_s_stage_is_used" {
  command = plan
  variables {
    stub_artifact = { path = "stub.zip", code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
    aws = {
      api           = { id = "a1b2c3", stage = "v1" }
      sss_stub      = true
      notifications = { emails = ["operator@example.com"] }
    }
  }

  assert {
    condition     = output.ingest_urls == { sss = "https://api.example.com/v1/sqs-hook" } && output.stub_url == "https://api.example.com/v1/application-hook"
    error_message = "are ${jsonencode(output.ingest_urls)}, ${jsonencode(output.stub_url)}"
  }
  assert {
    condition     = module.monitoring.api == { id = "a1b2c3", stage = "v1" }
    error_message = "the alarms watch ${jsonencode(module.monitoring.api)}"
  }
}

run "throttling_of_an_api_that_is_there_is_its_owner_s" {
  command         = plan
  expect_failures = [var.aws]
  variables {
    aws = {
      api           = { id = "a1b2c3" }
      throttling    = { burst = 20 }
      notifications = { emails = ["operator@example.com"] }
    }
  }
}

run "a_stage_has_a_name" {
  command         = plan
  expect_failures = [var.aws]
  variables {
    aws = {
      api           = { id = "a1b2c3", stage = "a/b" }
      notifications = { emails = ["operator@example.com"] }
    }
  }
}

run "it_delivers_at_once" {
  command = plan

  assert {
    condition     = module.forwarder.enabled && module.monitoring.api == { id = "made", stage = "$default" }
    error_message = "is ${jsonencode(module.forwarder.enabled)}, ${jsonencode(module.monitoring.api)}"
  }
}

run "it_starts_paused_where_that_is_said" {
  command = plan
  variables {
    aws = {
      start_paused  = true
      notifications = { emails = ["operator@example.com"] }
    }
  }

  assert {
    condition     = !module.forwarder.enabled
    error_message = "the mapping delivers before somebody resumes"
  }
}

run "the_stub_answers_where_it_is_wanted" {
  command = plan
  variables {
    stub_artifact = { path = "stub.zip", code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
    aws = {
      sss_stub      = true
      notifications = { emails = ["operator@example.com"] }
    }
  }

  assert {
    condition     = output.stub_url == "https://api.example.com/application-hook"
    error_message = "is ${jsonencode(output.stub_url)}"
  }
}

run "a_stub_needs_its_artifact" {
  command = plan
  variables {
    aws = {
      sss_stub      = true
      notifications = { emails = ["operator@example.com"] }
    }
  }

  expect_failures = [var.aws]
}

run "a_route_does_not_take_the_stub_s_path" {
  command = plan
  variables {
    stub_artifact = { path = "stub.zip", code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
    routes = {
      sss = {
        path         = "/application-hook"
        ordering_key = "all"
        destinations = [{ name = "sss", url = "https://sss.example.com/application-hook" }]
      }
    }
    aws = {
      sss_stub      = true
      notifications = { emails = ["operator@example.com"] }
    }
  }

  expect_failures = [var.aws]
}

# Of this module's type, which would drop what it does not know, to the forwarder and the API.
run "every_setting_of_a_route_arrives" {
  command = plan
  variables {
    routes    = jsondecode(file("../webhook-forwarder/tests/configuration.json")).config.routes
    forwarder = jsondecode(file("../webhook-forwarder/tests/configuration.json")).config.forwarder
    logs      = jsondecode(file("../webhook-forwarder/tests/configuration.json")).config.logs
  }

  assert {
    condition     = jsondecode(module.forwarder.variables.WEBHOOK_QUEUE_CONFIG) == jsondecode(jsondecode(file("../webhook-forwarder/tests/configuration.json")).minified)
    error_message = "is ${module.forwarder.variables.WEBHOOK_QUEUE_CONFIG}"
  }
  assert {
    condition = module.ingest.request_parameters == {
      for name, parameters in jsondecode(file("../webhook-ingest/tests/request-parameters.json")).request_parameters :
      name => tomap(merge(parameters, { QueueUrl = output.queue_url }))
    }
    error_message = "are ${jsonencode(module.ingest.request_parameters)}"
  }
}

run "what_is_said_arrives" {
  command = plan
  variables {
    forwarder = { function_timeout_seconds = 20 }
    aws = {
      throttling    = { rate_per_second = 50, burst = 20 }
      encryption    = { kms_key_arn = "arn:aws:kms:ap-northeast-1:123456789012:key/given" }
      notifications = { emails = ["operator@example.com"] }
    }
  }

  assert {
    condition     = module.queue.visibility_timeout_seconds == 120
    error_message = "the queue does not know the function's timeout"
  }
  assert {
    condition     = module.queue.kms_key_arn == "arn:aws:kms:ap-northeast-1:123456789012:key/given"
    error_message = "the queue does not know its key"
  }
  assert {
    condition     = module.ingest.route_settings == { "POST /sqs-hook" = { rate_per_second = 50, burst = 20 } }
    error_message = "are ${jsonencode(module.ingest.route_settings)}"
  }
}
