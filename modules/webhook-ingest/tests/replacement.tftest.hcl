# Applied with a mocked provider: a resource keeps its id through an update and gets a new one when
# it is replaced.
mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/test-webhook-ingest" }
  }
}

variables {
  environment = "test"
  api         = { id = "a1b2c3" }
  queue_url   = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/test-webhook.fifo"
  queue_arn   = "arn:aws:sqs:ap-northeast-1:123456789012:test-webhook.fifo"
  routes = {
    sss   = { path = "/sqs-hook", ordering_key = "$request.header.x-workflow-id" }
    other = { path = "/other", ordering_key = "other" }
  }
}

run "first" {}

run "nothing_changed" {
  assert {
    condition     = output.integration_ids == run.first.integration_ids
    error_message = "an apply without a change must replace nothing"
  }
}

run "another_ordering_key" {
  variables {
    routes = {
      sss   = { path = "/sqs-hook", ordering_key = "$request.header.x-order-id" }
      other = { path = "/other", ordering_key = "other" }
    }
  }

  assert {
    condition     = output.integration_ids.sss != run.first.integration_ids.sss
    error_message = "the integration was edited in place"
  }
  assert {
    condition     = output.integration_ids.other == run.first.integration_ids.other
    error_message = "the other route's integration must stay"
  }
  assert {
    condition     = aws_apigatewayv2_route.webhook["sss /sqs-hook"].target == "integrations/${output.integration_ids.sss}"
    error_message = "the route must be turned to the new integration"
  }
}

run "a_header_less" {
  variables {
    routes = {
      sss   = { path = "/sqs-hook", ordering_key = "$request.header.x-order-id", deduplication = "content" }
      other = { path = "/other", ordering_key = "other" }
    }
  }

  assert {
    condition     = output.integration_ids.sss != run.another_ordering_key.integration_ids.sss
    error_message = "an integration that loses a parameter was edited in place"
  }
}

run "another_path" {
  variables {
    routes = {
      sss   = { path = "/sqs-hook-2", ordering_key = "$request.header.x-order-id", deduplication = "content" }
      other = { path = "/other", ordering_key = "other" }
    }
  }

  assert {
    condition     = output.integration_ids == run.a_header_less.integration_ids
    error_message = "a path is the route's, not the integration's"
  }
}

run "another_queue" {
  variables {
    queue_url = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/other-webhook.fifo"
    routes = {
      sss   = { path = "/sqs-hook-2", ordering_key = "$request.header.x-order-id", deduplication = "content" }
      other = { path = "/other", ordering_key = "other" }
    }
  }

  assert {
    condition = (
      output.integration_ids.sss != run.another_path.integration_ids.sss
      && output.integration_ids.other != run.another_path.integration_ids.other
    )
    error_message = "the integrations were edited in place"
  }
}
