mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/test-webhook-forwarder" }
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

run "environment_in_capitals" {
  command         = plan
  expect_failures = [var.environment]
  variables {
    environment = "Prod"
  }
}

run "no_routes" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {}
  }
}

run "route_name_with_underscore" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss_2 = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com" }] } }
  }
}

run "no_destinations" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [] } }
  }
}

run "destination_name_in_capitals" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "SSS", url = "https://sss.example.com" }] } }
  }
}

run "destination_twice" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://a.example.com" }, { name = "sss", url = "https://b.example.com" }] } }
  }
}

run "plain_http_to_the_world" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "http://sss.example.com" }] } }
  }
}

run "plain_http_to_a_public_address" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "http://8.8.8.8" }] } }
  }
}

run "plain_http_to_the_metadata_service" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "http://169.254.169.254/latest" }] } }
  }
}

run "url_with_a_password" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://user:secret@example.com" }] } }
  }
}

run "url_with_a_fragment" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://example.com/#part" }] } }
  }
}

run "url_of_a_file" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "file:///etc/passwd" }] } }
  }
}

run "url_of_nothing" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "" }] } }
  }
}

run "destination_timeout_of_the_function" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", timeout_seconds = 60 }] } }
  }
}

run "destination_without_time" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", timeout_seconds = 0 }] } }
  }
}

run "rejected_and_dropped" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com" }], on_reject = "drop" } }
  }
}

run "function_timeout_too_long" {
  command         = plan
  expect_failures = [var.forwarder]
  variables {
    forwarder = { function_timeout_seconds = 901 }
  }
}

run "batches_larger_than_fifo_allows" {
  command         = plan
  expect_failures = [var.forwarder]
  variables {
    forwarder = { batch_size = 11 }
  }
}

run "one_at_a_time" {
  command         = plan
  expect_failures = [var.forwarder]
  variables {
    forwarder = { max_concurrency = 1 }
  }
}

run "more_than_lambda_allows" {
  command         = plan
  expect_failures = [var.forwarder]
  variables {
    forwarder = { max_concurrency = 1001 }
  }
}

run "log_level_of_another_world" {
  command         = plan
  expect_failures = [var.forwarder]
  variables {
    forwarder = { log_level = "TRACE" }
  }
}

run "half_a_message" {
  command         = plan
  expect_failures = [var.forwarder]
  variables {
    forwarder = { batch_size = 1.5 }
  }
}

run "standard_queue_url" {
  command         = plan
  expect_failures = [var.queue_url]
  variables {
    queue_url = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/test"
  }
}

run "standard_queue_arn" {
  command         = plan
  expect_failures = [var.queue_arn]
  variables {
    queue_arn = "arn:aws:sqs:ap-northeast-1:123456789012:test"
  }
}

run "dead_letters_back_into_the_queue_by_url" {
  command         = plan
  expect_failures = [var.dead_letter_queue_url]
  variables {
    dead_letter_queue_url = "https://sqs.ap-northeast-1.amazonaws.com/123456789012/test-webhook.fifo"
  }
}

run "dead_letters_back_into_the_queue_by_arn" {
  command         = plan
  expect_failures = [var.dead_letter_queue_arn]
  variables {
    dead_letter_queue_arn = "arn:aws:sqs:ap-northeast-1:123456789012:test-webhook.fifo"
  }
}

run "key_by_alias" {
  command         = plan
  expect_failures = [var.kms_key_arn]
  variables {
    kms_key_arn = "alias/webhook"
  }
}

run "artifact_by_hexadecimal_digest" {
  command         = plan
  expect_failures = [var.artifact]
  variables {
    artifact = { path = "function.zip", code_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  }
}

run "artifact_from_nowhere" {
  command         = plan
  expect_failures = [var.artifact]
  variables {
    artifact = { code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }
}

run "artifact_from_two_places" {
  command         = plan
  expect_failures = [var.artifact]
  variables {
    artifact = { path = "function.zip", bucket = "b", key = "k", code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }
}

run "artifact_in_a_bucket_without_key" {
  command         = plan
  expect_failures = [var.artifact]
  variables {
    artifact = { bucket = "b", code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }
}

run "object_version_of_a_file" {
  command         = plan
  expect_failures = [var.artifact]
  variables {
    artifact = { path = "function.zip", object_version = "v", code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }
}

run "architecture_of_another_world" {
  command         = plan
  expect_failures = [var.artifact]
  variables {
    artifact = { path = "function.zip", architecture = "amd64", code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }
}

run "memory_below_lambda_s" {
  command         = plan
  expect_failures = [var.memory_megabytes]
  variables {
    memory_megabytes = 64
  }
}

run "reserved_less_than_used" {
  command         = plan
  expect_failures = [var.reserved_concurrency]
  variables {
    reserved_concurrency = 9
  }
}

run "retention_that_cloudwatch_has_not" {
  command         = plan
  expect_failures = [var.logs]
  variables {
    logs = { retention_days = 10 }
  }
}

run "vpc_without_subnets" {
  command         = plan
  expect_failures = [var.vpc]
  variables {
    vpc = { subnet_ids = [], security_group_ids = ["sg-1"] }
  }
}

run "variable_of_the_module" {
  command         = plan
  expect_failures = [var.environment_variables]
  variables {
    environment_variables = { QUEUE_URL = "x" }
  }
}

run "variable_of_lambda" {
  command         = plan
  expect_failures = [var.environment_variables]
  variables {
    environment_variables = { AWS_REGION = "x" }
  }
}

run "routes_that_do_not_fit" {
  command         = plan
  expect_failures = [aws_lambda_function.forwarder]
  variables {
    routes = { for n in range(40) : "route-${n}" => { path = "/hook-${n}", ordering_key = "$request.header.x-workflow-id", destinations = [{ name = "sss", url = "https://sss.example.com/application-hook" }] } }
  }
}

run "private_hosts_by_plain_http" {
  command = plan
  variables {
    routes = {
      sss = {
        path         = "/a"
        ordering_key = "g"
        destinations = [for n, url in [
          "http://localhost:9010/x",
          "http://127.0.0.1",
          "http://[::1]:80",
          "http://10.1.2.3",
          "http://192.168.0.9",
          "http://sss.internal/hook",
          "http://sss-stub",
          "https://example.com/hook?token=t",
        ] : { name = "d-${n}", url = url }]
      }
    }
  }

  assert {
    condition     = length(jsondecode(aws_lambda_function.forwarder.environment[0].variables.WEBHOOK_QUEUE_CONFIG).routes.sss.destinations) == 8
    error_message = "a destination is missing"
  }
}

run "secret_instead_of_a_reference" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { scheme = "github", secrets = ["planted-secret"] }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "secret_in_a_variable" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { scheme = "github", secrets = ["env:GITHUB_SECRET"] }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "secret_to_sign_with_instead_of_a_reference" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", sign = { secrets = ["planted-secret"] } }] }
    }
  }
}

run "no_secrets" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { scheme = "github", secrets = [] }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "three_secrets" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { scheme = "github", secrets = ["ssm:/a", "ssm:/b", "ssm:/c"] }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "one_secret_twice" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { scheme = "github", secrets = ["ssm:/a", "ssm:/a"] }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "unknown_scheme" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { scheme = "paypal", secrets = ["ssm:/a"] }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "no_tolerance" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { scheme = "slack", secrets = ["ssm:/a"], tolerance_seconds = 0 }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "hmac_undescribed" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { scheme = "hmac", secrets = ["ssm:/a"] }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "token_undescribed" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { secrets = ["ssm:/a"], scheme = "token" }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "token_described_for_another_scheme" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { secrets = ["ssm:/a"], scheme = "gitlab", token = { header = "x" } }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "secret_in_an_unknown_encoding" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { secrets = ["ssm:/a"], scheme = "hmac", hmac = { header = "x", secret_encoding = "base32" } }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "prefix_that_is_a_separator" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { secrets = ["ssm:/a"], scheme = "hmac", hmac = { header = "x", prefix = ",v1=" } }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "hmac_described_for_another_scheme" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { scheme = "github", secrets = ["ssm:/a"], hmac = { header = "x" } }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "unknown_algorithm" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { scheme = "hmac", secrets = ["ssm:/a"], hmac = { header = "x", algorithm = "md5" } }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "signature_of_no_body" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { scheme = "hmac", secrets = ["ssm:/a"], hmac = { header = "x", signed_content = "{header.y}" } }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "signature_of_something_unknown" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { scheme = "hmac", secrets = ["ssm:/a"], hmac = { header = "x", signed_content = "{url}{body}" } }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "time_that_is_not_signed" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", verify = { scheme = "hmac", secrets = ["ssm:/a"], hmac = { header = "x", timestamp_header = "y" } }, destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "signature_of_ours_and_theirs" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", pass_headers = ["Webhook-Signature"], destinations = [{ name = "sss", url = "https://sss.example.com", sign = { secrets = ["ssm:/a"] } }] }
    }
  }
}

run "metadata_service" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://169.254.169.254/latest" }] }
    }
  }
}

run "link_local_by_ipv6" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://[fe80::1]:8443/" }] }
    }
  }
}

run "host_that_is_not_allowed" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
    forwarder = { allowed_hosts = ["other.example.com", "*.sss.example.com"] }
  }
}

run "allowed_host_with_a_scheme" {
  command         = plan
  expect_failures = [var.forwarder]
  variables {
    routes = {
      sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
    forwarder = { allowed_hosts = ["https://sss.example.com"] }
  }
}

run "destination_timeout_without_time_for_a_dead_letter" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", timeout_seconds = 58 }] } }
  }
}

run "short_destination_timeout_without_time_for_a_dead_letter" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes    = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", timeout_seconds = 4 }] } }
    forwarder = { function_timeout_seconds = 6 }
  }
}

run "longest_destination_timeout_with_time_for_a_dead_letter" {
  command = plan
  variables {
    routes    = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", timeout_seconds = 57 }] } }
    forwarder = { function_timeout_seconds = 60 }
  }
}

run "shorter_destination_timeout_with_time_for_a_dead_letter" {
  command = plan
  variables {
    routes    = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", timeout_seconds = 3 }] } }
    forwarder = { function_timeout_seconds = 6 }
  }
}

run "half_a_second_of_destination_timeout" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", timeout_seconds = 1.5 }] } }
  }
}

run "none_in_flight" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", max_in_flight = 0 }] } }
  }
}

run "half_an_attempt_in_flight" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", max_in_flight = 1.5 }] } }
  }
}

run "none_a_second" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", max_per_second = 0 }] } }
  }
}

run "less_than_one_a_second" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", max_per_second = 0.5 }] } }
  }
}

run "success_as_a_failure" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", retry_statuses = ["200"], destinations = [{ name = "sss", url = "https://sss.example.com" }] } }
  }
}

run "unknown_class_of_statuses" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", retry_statuses = ["6xx"], destinations = [{ name = "sss", url = "https://sss.example.com" }] } }
  }
}

run "class_of_statuses_in_capitals" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", reject_statuses = ["5XX"], destinations = [{ name = "sss", url = "https://sss.example.com" }] } }
  }
}

run "statuses_with_something_behind_them" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", reject_statuses = ["404 "], destinations = [{ name = "sss", url = "https://sss.example.com" }] } }
  }
}

run "range_of_statuses_backwards" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", reject_statuses = ["503-500"], destinations = [{ name = "sss", url = "https://sss.example.com" }] } }
  }
}

run "range_of_statuses_without_end" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", reject_statuses = ["500-"], destinations = [{ name = "sss", url = "https://sss.example.com" }] } }
  }
}

run "status_to_retry_and_to_reject" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", retry_statuses = ["404", "5xx"], reject_statuses = ["503"], destinations = [{ name = "sss", url = "https://sss.example.com" }] } }
  }
}

run "ranges_to_retry_and_to_reject_that_touch" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", retry_statuses = ["400-404"], reject_statuses = ["404-410"], destinations = [{ name = "sss", url = "https://sss.example.com" }] } }
  }
}

run "statuses_to_retry_and_to_reject" {
  command = plan
  variables {
    routes = {
      a = { path = "/a", ordering_key = "g", retry_statuses = ["3xx", "404", "410-410"], reject_statuses = ["500-503", "405-409", "599"], destinations = [{ name = "sss", url = "https://sss.example.com" }] }
      b = { path = "/b", ordering_key = "g", retry_statuses = ["405"], reject_statuses = ["404"], destinations = [{ name = "sss", url = "https://sss.example.com" }] }
    }
  }
}

run "header_that_the_forwarder_sets" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", headers = { Content-Type = "text/plain" } }] } }
  }
}

run "header_of_our_signature" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", headers = { webhook-signature = "v1,a" } }] } }
  }
}

run "header_of_the_connection" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", headers = { Host = "sss.example.com" } }] } }
  }
}

run "header_reserved_by_aws" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", headers = { X-Amzn-Trace-Id = "Root=1" } }] } }
  }
}

run "header_with_a_space" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", headers = { "a b" = "c" } }] } }
  }
}

run "header_twice_in_another_case" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", headers = { x-a = "1", X-A = "2" } }] } }
  }
}

run "header_of_nothing" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", headers = { x-a = "" } }] } }
  }
}

run "header_with_a_line_break" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", headers = { x-a = "a\nx-b: c" } }] } }
  }
}

run "header_with_white_space_at_its_end" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", headers = { x-a = "planted-secret " } }] } }
  }
}

run "header_in_another_script" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", headers = { x-a = "鍵" } }] } }
  }
}

run "header_of_a_variable_on_one_machine" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", headers = { x-a = "env:KEY" } }] } }
  }
}

run "header_of_a_file_on_one_machine" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", headers = { x-a = "file:/run/secrets/key" } }] } }
  }
}

run "header_of_half_a_reference" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", headers = { x-a = "ssm:key" } }] } }
  }
}

run "the_ingest_s_role_by_its_arn" {
  command         = plan
  expect_failures = [var.ingest_sender]
  variables {
    ingest_sender = { unique_id = "arn:aws:iam::123456789012:role/test-webhook-ingest" }
  }
}

run "who_the_ingest_is_as_a_variable" {
  command         = plan
  expect_failures = [var.environment_variables]
  variables {
    environment_variables = { WEBHOOK_QUEUE_INGEST_SENDER = "AROAEXAMPLEOFANOTHER" }
  }
}

# The domain counts 875 bytes for these routes, 512 for the queues' URLs and 32 for the ingest's id
# among them.
run "variables_that_just_fit" {
  command = plan
  variables {
    environment_variables = { PAD = format("%03218d", 0) }
    ingest_sender         = { unique_id = "AROAEXAMPLEINGESTROLE" }
  }
}

run "variables_that_just_do_not_fit" {
  command         = plan
  expect_failures = [aws_lambda_function.forwarder]
  variables {
    environment_variables = { PAD = format("%03219d", 0) }
  }
}

run "key_of_secrets_by_alias" {
  command         = plan
  expect_failures = [var.secrets_kms_key_arn]
  variables {
    secrets_kms_key_arn = "arn:aws:kms:ap-northeast-1:123456789012:alias/mine"
  }
}

run "client_certificate_itself" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", client_certificate = "-----BEGIN CERTIFICATE-----" }] } }
  }
}

run "client_certificate_of_a_file" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "https://sss.example.com", client_certificate = "file:/a.pem" }] } }
  }
}

run "client_certificate_without_tls" {
  command         = plan
  expect_failures = [var.routes]
  variables {
    routes = { sss = { path = "/a", ordering_key = "g", destinations = [{ name = "sss", url = "http://sss.internal", client_certificate = "ssm:/a" }] } }
  }
}
