mock_provider "aws" {}

variables {
  environment           = "test"
  queue_arn             = "arn:aws:sqs:ap-northeast-1:123456789012:test-webhook.fifo"
  dead_letter_queue_arn = "arn:aws:sqs:ap-northeast-1:123456789012:test-webhook-dlq.fifo"
  function_name         = "test-webhook-forwarder"
  routes                = { sss = {}, slow = { retry = { max_delay_seconds = 3601 } } }
  api                   = { id = "a1b2c3" }
  notifications         = { emails = ["operator@example.com"] }
}

run "environment_in_capitals" {
  command         = plan
  expect_failures = [var.environment]
  variables {
    environment = "Prod"
  }
}

run "standard_queue" {
  command         = plan
  expect_failures = [var.queue_arn]
  variables {
    queue_arn = "arn:aws:sqs:ap-northeast-1:123456789012:test"
  }
}

run "dead_letters_in_the_queue" {
  command         = plan
  expect_failures = [var.dead_letter_queue_arn]
  variables {
    dead_letter_queue_arn = "arn:aws:sqs:ap-northeast-1:123456789012:test-webhook.fifo"
  }
}

run "retention_too_long" {
  command         = plan
  expect_failures = [var.dead_letter_retention_seconds]
  variables {
    dead_letter_retention_seconds = 1209601
  }
}

run "always_on" {
  command         = plan
  expect_failures = [var.thresholds]
  variables {
    thresholds = { api_server_errors = 0 }
  }
}

run "impatient" {
  command         = plan
  expect_failures = [var.thresholds]
  variables {
    thresholds = { not_receiving_minutes = 4 }
  }
}

run "alarm_after_the_message_is_gone" {
  command         = plan
  expect_failures = [var.thresholds]
  variables {
    thresholds = { dead_letter_age_share = 1 }
  }
}

run "nobody_hears" {
  command         = plan
  expect_failures = [var.notifications]
  variables {
    notifications = {}
  }
}

run "not_an_address" {
  command         = plan
  expect_failures = [var.notifications]
  variables {
    notifications = { emails = ["operator"] }
  }
}

run "more_actions_than_cloudwatch_takes" {
  command         = plan
  expect_failures = [var.notifications]
  variables {
    notifications = { action_arns = ["arn:1", "arn:2", "arn:3", "arn:4", "arn:5"] }
  }
}

run "key_by_alias" {
  command         = plan
  expect_failures = [var.kms_key_arn]
  variables {
    kms_key_arn = "alias/aws/sns"
  }
}

run "runbook_with_a_section" {
  command         = plan
  expect_failures = [var.runbook_url]
  variables {
    runbook_url = "docs/runbook.md#alarms"
  }
}

run "a_delay_longer_than_sqs_hides_a_message" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { retry = { max_delay_seconds = 43101 } } }
  }
}
