variable "name" {
  description = "Name of the API, such as `dev-webhook`; by it the module webhook-ingest can find the API."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,128}$", var.name))
    error_message = "name is \"${var.name}\"; it must be 1 to 128 letters, digits and \"._-\"."
  }
}

variable "description" {
  description = "What the API is for, for whoever finds it in the console."
  type        = string
  default     = "Takes webhooks"
  nullable    = false

  validation {
    condition     = length(var.description) <= 1024
    error_message = "description is too long: API Gateway takes 1024 characters."
  }
}

variable "throttling" {
  description = "Most requests per second (`rate_per_second`) and at once (`burst`) on routes that `route_settings` does not name; more are answered 429."
  type = object({
    rate_per_second = optional(number, 300)
    burst           = optional(number, 300)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.throttling.rate_per_second > 0 && var.throttling.burst >= 1 && floor(var.throttling.burst) == var.throttling.burst
    error_message = "rate_per_second must be above 0 and burst a whole number of at least 1: with 0 the API would refuse everything."
  }
}

variable "route_settings" {
  description = "Throttling by route key, such as `POST /sqs-hook`; the output `route_settings` of the module webhook-ingest. The routes must be there."
  type = map(object({
    rate_per_second = number
    burst           = number
  }))
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for limit in values(var.route_settings) : limit.rate_per_second > 0 && limit.burst >= 1 && floor(limit.burst) == limit.burst
    ])
    error_message = "rate_per_second must be above 0 and burst a whole number of at least 1: with 0 the route would refuse everything."
  }
}

variable "detailed_metrics" {
  description = "Whether CloudWatch counts each route by itself; every route's metrics have their price."
  type        = bool
  default     = false
  nullable    = false
}

variable "logs" {
  description = <<-EOT
    `retention_days`: how long the access log is kept, one of CloudWatch's choices from 1 to 3653.
    `kms_key_arn`: key to encrypt it with; CloudWatch's own unless given.
  EOT
  type = object({
    retention_days = optional(number, 30)
    kms_key_arn    = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.logs.retention_days
    )
    error_message = "retention_days is ${var.logs.retention_days}; CloudWatch takes 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}
