# Applied with a mocked provider: a pause outlives the next deployment.
mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/test-webhook-forwarder" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:ap-northeast-1:123456789012:log-group:/aws/lambda/test-webhook-forwarder" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:ap-northeast-1:123456789012:function:test-webhook-forwarder" }
  }
  mock_resource "aws_lambda_alias" {
    defaults = { arn = "arn:aws:lambda:ap-northeast-1:123456789012:function:test-webhook-forwarder:live" }
  }
}

variables {
  environment           = "test"
  queue_url             = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/test-webhook.fifo"
  queue_arn             = "arn:aws:sqs:ap-northeast-1:123456789012:test-webhook.fifo"
  dead_letter_queue_url = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/test-webhook-dlq.fifo"
  dead_letter_queue_arn = "arn:aws:sqs:ap-northeast-1:123456789012:test-webhook-dlq.fifo"
  artifact              = { path = "function.zip", code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  routes = {
    sss = {
      path         = "/sqs-hook"
      ordering_key = "$request.header.x-workflow-id"
      destinations = [{ name = "sss", url = "https://sss.example.com/application-hook" }]
    }
  }
}

run "created_paused" {
  variables {
    enabled = false
  }

  assert {
    condition     = !aws_lambda_event_source_mapping.queue.enabled
    error_message = "the mapping must be created paused"
  }
}

run "still_paused_after_the_next_deployment" {
  variables {
    enabled   = true
    forwarder = { batch_size = 5 }
  }

  assert {
    condition     = !aws_lambda_event_source_mapping.queue.enabled && aws_lambda_event_source_mapping.queue.batch_size == 5
    error_message = "a deployment must not resume what is paused, and change everything else"
  }
}
