terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }

  # Bucket, key, region and lock file are given at `terraform init`, by `cargo xtask`.
  backend "s3" {}
}

provider "aws" {
  region              = var.aws.region
  allowed_account_ids = compact([try(var.aws.account_id, null)])

  default_tags {
    tags = merge(try(var.aws.tags, {}), {
      System      = "webhook-queue"
      Environment = var.environment
    })
  }
}
