mock_provider "aws" {}

variables {
  environment = "test"
  routes      = { sss = {} }
}

run "environment_in_capitals" {
  command         = plan
  expect_failures = [var.environment]
  variables { environment = "Prod" }
}

run "environment_too_long" {
  command         = plan
  expect_failures = [var.environment]
  variables { environment = "a-name-of-21-letters-" }
}

run "no_routes" {
  command         = plan
  expect_failures = [var.routes]
  variables { routes = {} }
}

run "retries_without_delay" {
  command         = plan
  expect_failures = [var.routes]
  variables { routes = { sss = { retry = { initial_delay_seconds = 0 } } } }
}

run "first_delay_above_the_longest" {
  command         = plan
  expect_failures = [var.routes]
  variables { routes = { sss = { retry = { initial_delay_seconds = 301 } } } }
}

run "delay_above_twelve_hours" {
  command         = plan
  expect_failures = [var.routes]
  variables { routes = { sss = { retry = { max_delay_seconds = 43101 } } } }
}

run "never_given_a_chance" {
  command         = plan
  expect_failures = [var.routes]
  variables { routes = { sss = { give_up_after_seconds = 0 } } }
}

run "half_a_second" {
  command         = plan
  expect_failures = [var.routes]
  variables { routes = { sss = { retry = { initial_delay_seconds = 1.5 } } } }
}

run "retention_too_long" {
  command         = plan
  expect_failures = [var.queue]
  variables { queue = { retention_seconds = 1209601 } }
}

run "retention_below_giving_up" {
  command         = plan
  expect_failures = [var.queue]
  variables { queue = { retention_seconds = 259200 + 359 } }
}

run "dead_letter_retention_too_long" {
  command         = plan
  expect_failures = [var.queue]
  variables { queue = { dead_letter_retention_seconds = 1209601 } }
}

run "dead_letter_retention_too_short" {
  command         = plan
  expect_failures = [var.queue]
  variables { queue = { dead_letter_retention_seconds = 59 } }
}

run "more_receives_than_sqs_counts" {
  command         = plan
  expect_failures = [var.queue]
  variables { queue = { max_receive_count = 1001 } }
}

run "fewer_receives_than_lambda_advises" {
  command         = plan
  expect_failures = [var.queue]
  variables {
    routes    = { sss = { give_up_after_seconds = 1 } }
    forwarder = { batch_size = 1 }
    queue     = { max_receive_count = 4 }
  }
}

run "fewer_receives_than_the_schedule_makes" {
  command         = plan
  expect_failures = [var.queue]
  variables { queue = { max_receive_count = 976 } }
}

run "messages_that_leave_no_room_for_the_reason" {
  command         = plan
  expect_failures = [var.queue]
  variables { queue = { max_message_bytes = 258049 } }
}

run "messages_too_small" {
  command         = plan
  expect_failures = [var.queue]
  variables { queue = { max_message_bytes = 1023 } }
}

run "half_a_byte" {
  command         = plan
  expect_failures = [var.queue]
  variables { queue = { max_message_bytes = 2000.5 } }
}

run "function_timeout_too_long" {
  command         = plan
  expect_failures = [var.forwarder]
  variables { forwarder = { function_timeout_seconds = 901 } }
}

run "batches_larger_than_fifo_allows" {
  command         = plan
  expect_failures = [var.forwarder]
  variables { forwarder = { batch_size = 11 } }
}

run "key_by_alias" {
  command         = plan
  expect_failures = [var.encryption]
  variables { encryption = { kms_key_arn = "alias/webhook" } }
}

run "data_key_for_ever" {
  command         = plan
  expect_failures = [var.encryption]
  variables { encryption = { data_key_reuse_seconds = 86401 } }
}
