# Applies the modules with a mocked provider, and prints the state: what an environment is once it is
# deployed. @ENVIRONMENT@ is its name.
mock_provider "aws" {
  mock_resource "aws_sqs_queue" {
    defaults = {
      arn = "arn:aws:sqs:ap-northeast-1:123456789012:@ENVIRONMENT@-webhook.fifo"
      url = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/@ENVIRONMENT@-webhook.fifo"
      id  = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/@ENVIRONMENT@-webhook.fifo"
    }
  }
  mock_resource "aws_apigatewayv2_api" {
    defaults = {
      id            = "a1b2c3d4e5"
      api_endpoint  = "https://a1b2c3d4e5.execute-api.ap-northeast-1.amazonaws.com"
      execution_arn = "arn:aws:execute-api:ap-northeast-1:123456789012:a1b2c3d4e5"
    }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/@ENVIRONMENT@-webhook" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:ap-northeast-1:123456789012:log-group:@ENVIRONMENT@" }
  }
  mock_resource "aws_lambda_function" {
    defaults = {
      arn     = "arn:aws:lambda:ap-northeast-1:123456789012:function:@ENVIRONMENT@-webhook-forwarder"
      version = "7"
    }
  }
  mock_resource "aws_lambda_alias" {
    defaults = {
      arn = "arn:aws:lambda:ap-northeast-1:123456789012:function:@ENVIRONMENT@-webhook-forwarder:live"
    }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:ap-northeast-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:ap-northeast-1:123456789012:@ENVIRONMENT@-webhook-alarms" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

# The dead-letter queue must be another than the webhook queue.
override_resource {
  target = module.webhook.module.queue.aws_sqs_queue.dead_letter
  values = {
    arn = "arn:aws:sqs:ap-northeast-1:123456789012:@ENVIRONMENT@-webhook-dlq.fifo"
    url = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/@ENVIRONMENT@-webhook-dlq.fifo"
    id  = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/@ENVIRONMENT@-webhook-dlq.fifo"
  }
}

variables {
  artifact = {
    bucket       = "acme-webhook-artifacts"
    key          = "artifacts/a.zip"
    code_sha256  = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    architecture = "arm64"
  }
}

run "deployed" {
  command = apply
}
