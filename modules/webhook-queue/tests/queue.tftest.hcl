mock_provider "aws" {
  override_during = plan

  mock_resource "aws_sqs_queue" {
    defaults = {
      arn = "arn:aws:sqs:ap-northeast-1:123456789012:mock.fifo"
      url = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/mock.fifo"
    }
  }
}

variables {
  environment = "test"
  routes      = { sss = {} }
}

run "defaults_lose_nothing_by_silence" {
  command = plan

  assert {
    condition     = aws_sqs_queue.webhook.name == "test-webhook.fifo" && aws_sqs_queue.dead_letter.name == "test-webhook-dlq.fifo"
    error_message = "the queues' names are not those that the other parts expect"
  }
  assert {
    condition     = aws_sqs_queue.webhook.fifo_queue && aws_sqs_queue.dead_letter.fifo_queue
    error_message = "both queues must be FIFO"
  }
  assert {
    condition     = coalesce(aws_sqs_queue.webhook.delay_seconds, 0) == 0 && coalesce(aws_sqs_queue.dead_letter.delay_seconds, 0) == 0
    error_message = "a queue holds its messages back"
  }
  assert {
    condition     = !aws_sqs_queue.webhook.content_based_deduplication
    error_message = "content-based deduplication is on though no route asks for it"
  }
  assert {
    condition     = aws_sqs_queue.webhook.message_retention_seconds == 1209600 && aws_sqs_queue.dead_letter.message_retention_seconds == 1209600
    error_message = "both queues keep messages for 14 days"
  }
  assert {
    condition     = aws_sqs_queue.webhook.max_message_size == 258048 && aws_sqs_queue.dead_letter.max_message_size == 262144
    error_message = "a dead letter must have 4 KiB more room than the message it was"
  }
  assert {
    condition     = aws_sqs_queue.webhook.deduplication_scope == "queue" && aws_sqs_queue.webhook.fifo_throughput_limit == "perQueue"
    error_message = "high throughput is on though it was not asked for"
  }
}

run "visibility_is_six_function_timeouts" {
  command = plan
  variables {
    forwarder = { function_timeout_seconds = 25 }
  }

  assert {
    condition     = aws_sqs_queue.webhook.visibility_timeout_seconds == 150 && output.visibility_timeout_seconds == 150
    error_message = "the visibility timeout must be six function timeouts"
  }
}

run "a_route_that_says_content_turns_it_on" {
  command = plan
  variables {
    routes = { sss = {}, other = { deduplication = "content" } }
  }

  assert {
    condition     = aws_sqs_queue.webhook.content_based_deduplication
    error_message = "SQS would refuse the route's messages"
  }
}

run "high_throughput_is_per_message_group" {
  command = plan
  variables {
    queue = { high_throughput = true }
  }

  assert {
    condition     = aws_sqs_queue.webhook.deduplication_scope == "messageGroup" && aws_sqs_queue.webhook.fifo_throughput_limit == "perMessageGroupId"
    error_message = "high throughput needs both settings"
  }
}

run "sqs_moves_only_to_the_dead_letter_queue" {
  command = plan

  assert {
    condition = jsondecode(aws_sqs_queue.webhook.redrive_policy) == {
      deadLetterTargetArn = aws_sqs_queue.dead_letter.arn
      maxReceiveCount     = 1000
    }
    error_message = "redrive policy: ${aws_sqs_queue.webhook.redrive_policy}"
  }
  assert {
    condition = jsondecode(aws_sqs_queue_redrive_allow_policy.dead_letter.redrive_allow_policy) == {
      redrivePermission = "byQueue"
      sourceQueueArns   = [aws_sqs_queue.webhook.arn]
    }
    error_message = "redrive allow policy: ${aws_sqs_queue_redrive_allow_policy.dead_letter.redrive_allow_policy}"
  }
}

run "both_queues_refuse_plain_text" {
  command = plan

  assert {
    condition = toset(keys(aws_sqs_queue_policy.tls_only)) == toset(["webhook", "dead_letter"]) && alltrue([
      for policy in values(aws_sqs_queue_policy.tls_only) :
      [for statement in jsondecode(policy.policy).Statement : [statement.Effect, statement.Principal, statement.Action, statement.Condition.Bool["aws:SecureTransport"]]]
      == [["Deny", "*", "sqs:*", "false"]]
    ])
    error_message = "each queue's policy must be one refusal of plain text, and allow nothing"
  }
}

run "sqs_encrypts_unless_a_key_is_given" {
  command = plan

  assert {
    condition     = aws_sqs_queue.webhook.sqs_managed_sse_enabled && aws_sqs_queue.dead_letter.sqs_managed_sse_enabled
    error_message = "both queues must be encrypted"
  }
}

run "a_given_key_encrypts_both" {
  command = plan
  variables {
    encryption = { kms_key_arn = "arn:aws:kms:ap-northeast-1:123456789012:key/1" }
  }

  assert {
    condition = alltrue([
      for queue in [aws_sqs_queue.webhook, aws_sqs_queue.dead_letter] :
      queue.kms_master_key_id == "arn:aws:kms:ap-northeast-1:123456789012:key/1" && queue.kms_data_key_reuse_period_seconds == 300
    ])
    error_message = "both queues must use the key"
  }
  assert {
    condition     = output.kms_key_arn == "arn:aws:kms:ap-northeast-1:123456789012:key/1"
    error_message = "the other modules need the key for their roles"
  }
}

run "protection_is_there_only_where_asked_for" {
  command = plan

  assert {
    condition     = length(terraform_data.deletion_protection) == 0
    error_message = "a development environment must be deletable"
  }
}

# The domain's `Schedule::attempts_within` gives 967 attempts for 72 hours of 2 to 300 seconds.
run "receives_follow_the_schedule" {
  command = plan

  assert {
    condition     = output.receives_until_given_up == 977
    error_message = "are ${output.receives_until_given_up}"
  }
}

run "receives_of_schedules_that_end_early" {
  command = plan
  variables {
    routes = { sss = { give_up_after_seconds = 13, retry = { initial_delay_seconds = 2, max_delay_seconds = 300 } } }
  }

  # Retries after 2 and 4 more seconds; the next would be due after 14.
  assert {
    condition     = output.receives_until_given_up == 3 + 10
    error_message = "are ${output.receives_until_given_up}"
  }
}

run "receives_of_constant_delays" {
  command = plan
  variables {
    routes    = { sss = { give_up_after_seconds = 100, retry = { initial_delay_seconds = 10, max_delay_seconds = 10 } } }
    forwarder = { batch_size = 1 }
  }

  assert {
    condition     = output.receives_until_given_up == 1 + 11 + 1
    error_message = "are ${output.receives_until_given_up}"
  }
}
