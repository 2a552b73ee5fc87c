# What an environment's terraform.tfvars.json says, in its shape: docs/configuration.md has every
# field. Defaults and rules are those of the modules that the values go to.

variable "environment" {
  description = "Name of the environment, such as `dev`: 1 to 20 lower-case letters, digits and `-`. All names begin with it."
  type        = string
  nullable    = false
}

variable "routes" {
  description = "What is accepted and where it goes, by the route's name; as the module webhook-forwarder describes it."
  type = map(object({
    path          = string
    former_paths  = optional(list(string))
    ordering_key  = string
    deduplication = optional(string)
    event_id      = optional(string)
    pass_headers  = optional(list(string))
    verify = optional(object({
      scheme            = string
      secrets           = list(string)
      tolerance_seconds = optional(number)
      hmac = optional(object({
        header           = string
        algorithm        = optional(string)
        encoding         = optional(string)
        prefix           = optional(string)
        signed_content   = optional(string)
        timestamp_header = optional(string)
        secret_encoding  = optional(string)
      }))
      token = optional(object({
        header = string
      }))
    }))
    destinations = list(object({
      name            = string
      url             = string
      timeout_seconds = optional(number)
      sign = optional(object({
        secrets = list(string)
      }))
      headers            = optional(map(string))
      client_certificate = optional(string)
      max_in_flight      = optional(number)
      max_per_second     = optional(number)
    }))
    retry = optional(object({
      initial_delay_seconds = optional(number)
      max_delay_seconds     = optional(number)
    }))
    retry_statuses        = optional(list(string))
    reject_statuses       = optional(list(string))
    give_up_after_seconds = optional(number)
    on_reject             = optional(string)
  }))
  nullable = false
}

variable "queue" {
  description = "The queue and its dead-letter queue; as the module webhook-queue describes it."
  type = object({
    retention_seconds             = optional(number)
    dead_letter_retention_seconds = optional(number)
    max_receive_count             = optional(number)
    max_message_bytes             = optional(number)
    high_throughput               = optional(bool)
  })
  default  = {}
  nullable = false
}

variable "forwarder" {
  description = "How the function delivers; as the module webhook-forwarder describes it."
  type = object({
    function_timeout_seconds = optional(number)
    batch_size               = optional(number)
    max_concurrency          = optional(number)
    log_level                = optional(string)
    allowed_hosts            = optional(list(string))
    proxy                    = optional(string)
  })
  default  = {}
  nullable = false
}

variable "logs" {
  description = "What the function's log holds: `answers`, as in `logs` of the module webhook-forwarder."
  type = object({
    answers = optional(bool)
  })
  default  = {}
  nullable = false
}

variable "aws" {
  description = <<-EOT
    Where this is deployed to, and how. `region`, `account_id`, the buckets, `smoke_test` and `tags` are for the root module and `cargo xtask`, and ignored here.
    `api`: an HTTP API that is there already, by `id` or `name`, and its `stage` that webhooks come by (`$default`); one is made unless given.
    `authorization`: as in webhook-ingest.
    `throttling`: as in webhook-ingest, and the whole API's, which must be one that is made: the stage of another is its owner's.
    `encryption`, `deletion_protection`: as in webhook-queue; `encryption.secrets_kms_key_arn` is the key of the secrets of `verify`, `sign`, `headers` and `client_certificate`, as in webhook-forwarder.
    `function`: as in webhook-forwarder; `architecture` is that of an artifact that does not say it.
    `logs`: of the function and of an API that is made.
    `notifications`, `thresholds`, `runbook_url`: as in monitoring.
    `permissions_boundary_arn`: policy that bounds the permissions of every role.
    `start_paused`: whether nothing is delivered until somebody resumes, when this is first made; as `enabled` in webhook-forwarder, later it changes nothing.
    `sss_stub`: whether a stand-in for the service answers on `POST /application-hook`.
  EOT
  type = object({
    api = optional(object({
      id    = optional(string)
      name  = optional(string)
      stage = optional(string, "$default")
    }))
    authorization = optional(object({
      type          = optional(string)
      authorizer_id = optional(string)
      jwt = optional(object({
        issuer          = string
        audience        = set(string)
        identity_source = optional(string)
      }))
      lambda = optional(object({
        function_name      = string
        invoke_arn         = string
        identity_sources   = optional(set(string))
        result_ttl_seconds = optional(number)
      }))
      scopes = optional(set(string))
    }))
    throttling = optional(object({
      rate_per_second = optional(number)
      burst           = optional(number)
      routes = optional(map(object({
        rate_per_second = number
        burst           = number
      })))
    }))
    encryption = optional(object({
      kms_key_arn            = optional(string)
      data_key_reuse_seconds = optional(number)
      secrets_kms_key_arn    = optional(string)
    }))
    deletion_protection = optional(bool)
    function = optional(object({
      architecture         = optional(string)
      memory_megabytes     = optional(number)
      reserved_concurrency = optional(number)
      tracing              = optional(bool)
      vpc = optional(object({
        subnet_ids         = set(string)
        security_group_ids = set(string)
      }))
      environment_variables = optional(map(string))
    }))
    logs = optional(object({
      retention_days = optional(number)
      kms_key_arn    = optional(string)
    }))
    notifications = object({
      emails      = optional(set(string))
      action_arns = optional(set(string))
    })
    thresholds = optional(object({
      oldest_message_seconds = optional(number)
      not_receiving_minutes  = optional(number)
      dead_letter_age_share  = optional(number)
      api_client_errors      = optional(number)
      api_server_errors      = optional(number)
    }))
    runbook_url              = optional(string)
    permissions_boundary_arn = optional(string)
    start_paused             = optional(bool, false)
    sss_stub                 = optional(bool, false)
  })
  nullable = false

  validation {
    condition     = var.aws.api == null || try(var.aws.throttling, null) == null
    error_message = "throttling is for an API that is made; the limits of aws.api are set on its stage, by its owner."
  }
  validation {
    condition     = try(var.aws.api.stage, "$default") == "$default" || can(regex("^[A-Za-z0-9_-]{1,128}$", var.aws.api.stage))
    error_message = "api.stage is $default, or 1 to 128 letters, digits, \"-\" and \"_\"."
  }
  validation {
    condition     = !var.aws.sss_stub || var.stub_artifact != null
    error_message = "sss_stub needs stub_artifact, the zip file with the stub's function."
  }
  validation {
    condition     = !var.aws.sss_stub || alltrue([for route in values(var.routes) : !contains(concat([route.path], coalesce(route.former_paths, [])), "/application-hook")])
    error_message = "a route has the path /application-hook, where sss_stub answers."
  }
}

variable "artifact" {
  description = "The zip file with the forwarder; as the module webhook-forwarder describes it. `architecture`: unless given, `aws.function.architecture`."
  type = object({
    code_sha256    = string
    path           = optional(string)
    bucket         = optional(string)
    key            = optional(string)
    object_version = optional(string)
    architecture   = optional(string)
  })
  nullable = false
}

variable "stub_artifact" {
  description = "The zip file with the stub's function, where `aws.sss_stub` is set; as the module sss-stub describes it."
  type = object({
    code_sha256    = string
    path           = optional(string)
    bucket         = optional(string)
    key            = optional(string)
    object_version = optional(string)
    architecture   = optional(string)
  })
  default = null
}
