terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }

  # The path is given at `terraform init`, by `cargo xtask`.
  backend "local" {}
}

variable "emulator_endpoint" {
  description = "URL of the emulator that stands in for AWS, such as `http://127.0.0.1:4566`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^http://(127\\.0\\.0\\.1|localhost|\\[::1\\]):[0-9]+$", var.emulator_endpoint))
    error_message = "emulator_endpoint is \"${var.emulator_endpoint}\"; it must be on this machine."
  }
}

provider "aws" {
  region = var.aws.region

  # The emulator takes any credentials, and knows nothing of accounts and instances.
  #checkov:skip=CKV_AWS_41:made up, and sent to this machine only
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true
  s3_use_path_style           = true

  endpoints {
    apigatewayv2 = var.emulator_endpoint
    cloudwatch   = var.emulator_endpoint
    ec2          = var.emulator_endpoint
    iam          = var.emulator_endpoint
    kms          = var.emulator_endpoint
    lambda       = var.emulator_endpoint
    logs         = var.emulator_endpoint
    s3           = var.emulator_endpoint
    sns          = var.emulator_endpoint
    sqs          = var.emulator_endpoint
    sts          = var.emulator_endpoint
  }

  default_tags {
    tags = merge(try(var.aws.tags, {}), {
      System      = "webhook-queue"
      Environment = var.environment
    })
  }
}
