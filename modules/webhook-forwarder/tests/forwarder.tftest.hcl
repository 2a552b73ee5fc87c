mock_provider "aws" {
  override_during = plan

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/test-webhook-forwarder" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:ap-northeast-1:123456789012:log-group:/aws/lambda/test-webhook-forwarder" }
  }
  mock_resource "aws_lambda_function" {
    defaults = {
      arn     = "arn:aws:lambda:ap-northeast-1:123456789012:function:test-webhook-forwarder"
      version = "7"
    }
  }
  mock_resource "aws_lambda_alias" {
    defaults = { arn = "arn:aws:lambda:ap-northeast-1:123456789012:function:test-webhook-forwarder:live" }
  }
  mock_resource "aws_lambda_event_source_mapping" {
    defaults = { arn = "arn:aws:lambda:ap-northeast-1:123456789012:event-source-mapping:1" }
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

# `minified` was written by the domain's `Config::forwarder_environment`.
run "configuration_is_the_domain_s" {
  command = plan
  variables {
    routes    = jsondecode(file("tests/configuration.json")).config.routes
    forwarder = jsondecode(file("tests/configuration.json")).config.forwarder
    logs      = jsondecode(file("tests/configuration.json")).config.logs
  }

  assert {
    condition = (
      jsondecode(aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG)
      == jsondecode(jsondecode(file("tests/configuration.json")).minified)
    )
    error_message = "is ${aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG}"
  }
  # What the domain says fits must fit.
  assert {
    condition = (
      length(aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG)
      == length(jsondecode(file("tests/configuration.json")).minified)
    )
    error_message = "is ${aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG}"
  }
}

run "defaults_are_left_out" {
  command = plan

  assert {
    condition = jsondecode(aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG) == {
      environment = "test"
      routes = {
        sss = {
          path         = "/sqs-hook"
          ordering_key = "$request.header.x-workflow-id"
          destinations = [{ name = "sss", url = "https://sss.example.com/application-hook" }]
        }
      }
    }
    error_message = "is ${aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG}"
  }
}

run "every_setting_reaches_the_forwarder" {
  command = plan
  variables {
    queue = { retention_seconds = 600000, high_throughput = true }
    routes = {
      sss = {
        path                  = "/hooks/{tenant}"
        ordering_key          = "$request.path.tenant"
        deduplication         = "content"
        event_id              = "$request.body.id"
        pass_headers          = ["content-type"]
        destinations          = [{ name = "sss", url = "http://sss.internal:8080/hook", timeout_seconds = 5, headers = { x-of = "test" }, max_in_flight = 2, max_per_second = 3 }]
        retry                 = { max_delay_seconds = 60 }
        retry_statuses        = ["404"]
        reject_statuses       = ["501"]
        give_up_after_seconds = 3600
        on_reject             = "block"
      }
    }
  }

  assert {
    condition = jsondecode(aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG) == {
      environment = "test"
      queue = {
        retention_seconds             = 600000
        dead_letter_retention_seconds = 1209600
        max_receive_count             = 1000
        max_message_bytes             = 258048
        high_throughput               = true
      }
      routes = {
        sss = {
          path                  = "/hooks/{tenant}"
          ordering_key          = "$request.path.tenant"
          deduplication         = "content"
          event_id              = "$request.body.id"
          pass_headers          = ["content-type"]
          destinations          = [{ name = "sss", url = "http://sss.internal:8080/hook", timeout_seconds = 5, headers = { x-of = "test" }, max_in_flight = 2, max_per_second = 3 }]
          retry                 = { initial_delay_seconds = 2, max_delay_seconds = 60 }
          retry_statuses        = ["404"]
          reject_statuses       = ["501"]
          give_up_after_seconds = 3600
          on_reject             = "block"
        }
      }
    }
    error_message = "is ${aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG}"
  }
}

run "the_function_knows_both_queues" {
  command = plan
  variables {
    environment_variables = { SSL_CERT_FILE = "/var/task/ca.pem" }
  }

  assert {
    condition = (
      aws_lambda_function.forwarder.environment[0].variables.QUEUE_URL == var.queue_url
      && aws_lambda_function.forwarder.environment[0].variables.DEAD_LETTER_QUEUE_URL == var.dead_letter_queue_url
      && aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_METRICS == "emf"
      && aws_lambda_function.forwarder.environment[0].variables.SSL_CERT_FILE == "/var/task/ca.pem"
    )
    error_message = jsonencode(keys(aws_lambda_function.forwarder.environment[0].variables))
  }
}

run "the_function_knows_who_the_ingest_is" {
  command = plan
  variables {
    ingest_sender = { unique_id = "AROAEXAMPLEINGESTROLE" }
  }

  assert {
    condition     = aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_INGEST_SENDER == "AROAEXAMPLEINGESTROLE"
    error_message = "whoever can post a webhook could mark it as an operator's"
  }
}

run "without_an_ingest_of_ours_nobody_is_it" {
  command = plan

  assert {
    condition     = !contains(keys(aws_lambda_function.forwarder.environment[0].variables), "WEBHOOK_QUEUE_INGEST_SENDER")
    error_message = "an empty id would be nobody's, and everybody's marks believed"
  }
}

run "the_function_is_the_artifact" {
  command = plan

  assert {
    condition = (
      aws_lambda_function.forwarder.runtime == "provided.al2023"
      && aws_lambda_function.forwarder.architectures == tolist(["arm64"])
      && aws_lambda_function.forwarder.filename == "function.zip"
      && aws_lambda_function.forwarder.source_code_hash == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    )
    error_message = "the function must be the packaged artifact"
  }
  assert {
    condition     = aws_lambda_function.forwarder.timeout == 60 && aws_lambda_function.forwarder.memory_size == 128 && aws_lambda_function.forwarder.reserved_concurrent_executions == -1
    error_message = "timeout, memory or reserved concurrency"
  }
}

run "the_artifact_may_lie_in_a_bucket" {
  command = plan
  variables {
    artifact = {
      bucket         = "artifacts"
      key            = "artifacts/1.zip"
      object_version = "v1"
      code_sha256    = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
      architecture   = "x86_64"
    }
  }

  assert {
    condition = (
      aws_lambda_function.forwarder.s3_bucket == "artifacts" && aws_lambda_function.forwarder.s3_key == "artifacts/1.zip"
      && aws_lambda_function.forwarder.s3_object_version == "v1" && aws_lambda_function.forwarder.filename == null
      && aws_lambda_function.forwarder.architectures == tolist(["x86_64"])
    )
    error_message = "the function must come from the bucket"
  }
}

run "what_delivers_is_a_published_version" {
  command = plan

  assert {
    condition     = aws_lambda_function.forwarder.publish && aws_lambda_alias.live.name == "live" && aws_lambda_alias.live.function_version == "7"
    error_message = "the alias must name the published version"
  }
  assert {
    condition     = aws_lambda_event_source_mapping.queue.function_name == aws_lambda_alias.live.arn
    error_message = "the mapping must call the alias"
  }
}

run "the_mapping_reports_each_message_and_filters_none" {
  command = plan
  variables {
    forwarder = { batch_size = 5, max_concurrency = 3 }
  }

  assert {
    condition     = aws_lambda_event_source_mapping.queue.function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "without partial batch responses a failed message would be deleted"
  }
  assert {
    condition     = length(aws_lambda_event_source_mapping.queue.filter_criteria) == 0
    error_message = "what a filter does not match is deleted"
  }
  assert {
    condition = (
      aws_lambda_event_source_mapping.queue.event_source_arn == var.queue_arn
      && aws_lambda_event_source_mapping.queue.batch_size == 5
      && aws_lambda_event_source_mapping.queue.scaling_config[0].maximum_concurrency == 3
      && aws_lambda_event_source_mapping.queue.metrics_config[0].metrics == toset(["EventCount"])
      && aws_lambda_event_source_mapping.queue.enabled
    )
    error_message = "batch size, concurrency, metrics or switch"
  }
}

run "nothing_waits_for_a_batch" {
  command = plan

  assert {
    condition     = aws_lambda_event_source_mapping.queue.maximum_batching_window_in_seconds == null
    error_message = "a FIFO queue's mapping takes no batch window"
  }
}

run "the_roles_are_bounded_and_each_is_one_service_s" {
  command = plan
  variables {
    permissions_boundary_arn = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = aws_iam_role.forwarder.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "the function's role has no boundary"
  }
  assert {
    condition     = aws_iam_role.resume.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "the role of resuming has no boundary"
  }
  assert {
    condition     = jsondecode(aws_iam_role.forwarder.assume_role_policy).Statement[*].Principal == [{ Service = "lambda.amazonaws.com" }]
    error_message = "only Lambda may use the function's role"
  }
}

run "the_function_may_only_what_it_does" {
  command = plan

  assert {
    condition = { for name, policy in aws_iam_role_policy.forwarder : name => jsondecode(policy.policy).Statement } == {
      receive-from-webhook-queue = [{
        Effect   = "Allow"
        Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
        Resource = ["arn:aws:sqs:ap-northeast-1:123456789012:test-webhook.fifo"]
      }]
      send-to-dead-letter-queue = [{
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = ["arn:aws:sqs:ap-northeast-1:123456789012:test-webhook-dlq.fifo"]
      }]
      read-skips = [{
        Effect   = "Allow"
        Action   = ["ssm:GetParameter"]
        Resource = ["arn:aws:ssm:ap-northeast-1:123456789012:parameter/test/webhook/skips"]
      }]
      write-logs = [{
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["arn:aws:logs:ap-northeast-1:123456789012:log-group:/aws/lambda/test-webhook-forwarder:*"]
      }]
    }
    error_message = jsonencode({ for name, policy in aws_iam_role_policy.forwarder : name => policy.policy })
  }
  assert {
    condition = (
      aws_iam_role_policies_exclusive.forwarder.policy_names == toset(["read-skips", "receive-from-webhook-queue", "send-to-dead-letter-queue", "write-logs"])
      && length(aws_iam_role_policy_attachments_exclusive.forwarder.policy_arns) == 0
    )
    error_message = "the role's policies must be exclusive"
  }
}

run "a_pause_may_be_ended_and_nothing_else" {
  command = plan

  assert {
    condition = jsondecode(aws_iam_role_policy.resume.policy).Statement == [{
      Effect   = "Allow"
      Action   = ["lambda:UpdateEventSourceMapping"]
      Resource = ["arn:aws:lambda:ap-northeast-1:123456789012:event-source-mapping:1"]
    }]
    error_message = "is ${aws_iam_role_policy.resume.policy}"
  }
  assert {
    condition = jsondecode(aws_iam_role.resume.assume_role_policy).Statement == [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    }]
    error_message = "is ${aws_iam_role.resume.assume_role_policy}"
  }
  assert {
    condition = (
      aws_iam_role.resume.name == "test-webhook-resume"
      && aws_iam_role_policies_exclusive.resume.policy_names == toset(["enable-mapping"])
      && length(aws_iam_role_policy_attachments_exclusive.resume.policy_arns) == 0
    )
    error_message = "the command finds it by its name, and its policies must be exclusive"
  }
}

run "with_a_key_the_function_may_use_it" {
  command = plan
  variables {
    kms_key_arn = "arn:aws:kms:ap-northeast-1:123456789012:key/1"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.forwarder["use-queue-key"].policy).Statement == [{
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = ["arn:aws:kms:ap-northeast-1:123456789012:key/1"]
    }]
    error_message = "the function could neither read messages nor write dead letters"
  }
}

run "in_a_vpc_the_code_may_make_no_interfaces" {
  command = plan
  variables {
    vpc = { subnet_ids = ["subnet-1", "subnet-2"], security_group_ids = ["sg-1"] }
  }

  assert {
    condition = (
      aws_lambda_function.forwarder.vpc_config[0].subnet_ids == toset(["subnet-1", "subnet-2"])
      && aws_lambda_function.forwarder.vpc_config[0].security_group_ids == toset(["sg-1"])
    )
    error_message = "the function must run in the subnets"
  }
  assert {
    condition = (
      jsondecode(aws_iam_role_policy.forwarder["join-vpc"].policy).Statement[1].Effect == "Deny"
      && jsondecode(aws_iam_role_policy.forwarder["join-vpc"].policy).Statement[1].Condition.ArnEquals["lambda:SourceFunctionArn"]
      == "arn:aws:lambda:ap-northeast-1:123456789012:function:test-webhook-forwarder"
    )
    error_message = "is ${aws_iam_role_policy.forwarder["join-vpc"].policy}"
  }
}

run "outside_of_a_vpc_unless_given" {
  command = plan

  assert {
    condition     = length(aws_lambda_function.forwarder.vpc_config) == 0 && !contains(keys(aws_iam_role_policy.forwarder), "join-vpc")
    error_message = "the function must be outside of any VPC, without rights to network interfaces"
  }
}

run "tracing_where_asked_for" {
  command = plan
  variables {
    tracing = true
  }

  assert {
    condition     = aws_lambda_function.forwarder.tracing_config[0].mode == "Active" && contains(keys(aws_iam_role_policy.forwarder), "trace")
    error_message = "the function must be traced, and may send traces"
  }
}

run "metrics_pass_lambda_s_filter" {
  command = plan
  variables {
    forwarder = { log_level = "ERROR" }
  }

  assert {
    condition     = aws_lambda_function.forwarder.logging_config[0].application_log_level == "INFO"
    error_message = "lines without a level, as those of metrics are, count as INFO"
  }
  assert {
    condition     = aws_lambda_function.forwarder.logging_config[0].system_log_level == "WARN"
    error_message = "three lines of Lambda's own for each success are paid for, and read by nobody"
  }
}

run "logs_are_json_and_end" {
  command = plan
  variables {
    forwarder = { log_level = "DEBUG" }
    logs      = { retention_days = 7 }
  }

  assert {
    condition = (
      aws_lambda_function.forwarder.logging_config[0].log_format == "JSON"
      && aws_lambda_function.forwarder.logging_config[0].application_log_level == "DEBUG"
      && aws_lambda_function.forwarder.logging_config[0].log_group == "/aws/lambda/test-webhook-forwarder"
    )
    error_message = "Lambda would drop or wrap the forwarder's lines"
  }
  assert {
    condition     = aws_cloudwatch_log_group.forwarder.retention_in_days == 7
    error_message = "log lines must not be kept for ever"
  }
}

run "the_forwarder_knows_where_skips_are" {
  command = plan

  assert {
    condition     = aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_SKIPS == "ssm:/test/webhook/skips"
    error_message = "is ${aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_SKIPS}"
  }
}

run "no_secrets_may_be_read_unless_referred_to" {
  command = plan
  variables {
    secrets_kms_key_arn = "arn:aws:kms:ap-northeast-1:123456789012:key/2"
  }

  assert {
    condition     = !contains(keys(aws_iam_role_policy.forwarder), "read-secrets")
    error_message = "the function needs none"
  }
}

run "exactly_the_secrets_of_the_routes_may_be_read" {
  command = plan
  variables {
    secrets_kms_key_arn = "arn:aws:kms:ap-northeast-1:123456789012:key/2"
    routes = {
      sss = {
        path         = "/a"
        ordering_key = "g"
        verify       = { scheme = "github", secrets = ["ssm:/test/in", "secretsmanager:test/in"] }
        destinations = [
          { name = "a", url = "https://sss.example.com", sign = { secrets = ["ssm:/test/out"] }, client_certificate = "secretsmanager:test/certificate" },
          {
            name = "b"
            url  = "https://sss.example.com"
            headers = {
              authorization = "secretsmanager:test/key"
              x-key         = "ssm:/test/key"
              x-literal     = "of ssm:/test/nobody"
            }
          },
        ]
      }
      other = {
        path         = "/b"
        ordering_key = "g"
        verify       = { scheme = "slack", secrets = ["secretsmanager:arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:x-AbCdEf", "ssm:/test/in"] }
        destinations = [{ name = "a", url = "https://sss.example.com" }]
      }
    }
  }

  assert {
    condition = jsonencode([
      for statement in jsondecode(aws_iam_role_policy.forwarder["read-secrets"].policy).Statement :
      { (statement.Action[0]) = sort(statement.Resource) }
      ]) == jsonencode([
      {
        "ssm:GetParameter" = [
          "arn:aws:ssm:ap-northeast-1:123456789012:parameter/test/in",
          "arn:aws:ssm:ap-northeast-1:123456789012:parameter/test/key",
          "arn:aws:ssm:ap-northeast-1:123456789012:parameter/test/out",
        ]
      },
      {
        "secretsmanager:GetSecretValue" = [
          "arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:test/certificate-??????",
          "arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:test/in-??????",
          "arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:test/key-??????",
          "arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:x-AbCdEf",
        ]
      },
      { "kms:Decrypt" = ["arn:aws:kms:ap-northeast-1:123456789012:key/2"] },
    ])
    error_message = "is ${aws_iam_role_policy.forwarder["read-secrets"].policy}"
  }
}

run "literal_headers_need_no_rights" {
  command = plan
  variables {
    secrets_kms_key_arn = "arn:aws:kms:ap-northeast-1:123456789012:key/2"
    routes = {
      sss = {
        path         = "/a"
        ordering_key = "g"
        destinations = [{ name = "a", url = "https://sss.example.com", headers = { User-Agent = "acme: 1", x-of = "secretsmanagers:a" } }]
      }
    }
  }

  assert {
    condition     = !contains(keys(aws_iam_role_policy.forwarder), "read-secrets")
    error_message = "a literal value was taken for a reference"
  }
  assert {
    condition = jsondecode(aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG).routes.sss.destinations[0].headers == {
      User-Agent = "acme: 1"
      x-of       = "secretsmanagers:a"
    }
    error_message = "is ${aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG}"
  }
}

run "destinations_may_be_called_through_a_proxy" {
  command = plan
  variables {
    forwarder = { proxy = "http://proxy.internal:3128" }
  }

  assert {
    condition     = jsondecode(aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG).forwarder.proxy == "http://proxy.internal:3128"
    error_message = "the forwarder must know"
  }
}

run "no_proxy_unless_given" {
  command = plan

  assert {
    condition     = !can(jsondecode(aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG).forwarder.proxy)
    error_message = "an empty proxy is none"
  }
}

run "rejects_a_proxy_with_a_password" {
  command         = plan
  expect_failures = [var.forwarder]
  variables {
    forwarder = { proxy = "http://user:secret@proxy.internal:3128" }
  }
}

run "destinations_may_be_limited" {
  command = plan
  variables {
    forwarder = { allowed_hosts = ["*.example.com"] }
  }

  assert {
    condition     = jsondecode(aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG).forwarder.allowed_hosts == ["*.example.com"]
    error_message = "the forwarder must know, too"
  }
}
