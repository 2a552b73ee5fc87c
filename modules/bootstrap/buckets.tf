locals {
  buckets = {
    state     = "${var.name}-state"
    artifacts = "${var.name}-artifacts"
  }
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:who changed what is in CloudTrail and in the former versions; a log bucket would need one itself
  #checkov:skip=CKV_AWS_144:a state without its region's resources helps nobody, and artifacts can be built again, to the same bytes
  #checkov:skip=CKV_AWS_145:encrypted with S3's own keys; a key of one's own would protect against nobody who may read the bucket
  #checkov:skip=CKV_AWS_21:versions are kept, below, for each bucket: checkov does not follow for_each into a called module
  #checkov:skip=CKV2_AWS_6:closed to the public, below, for each bucket: checkov does not follow for_each into a called module
  #checkov:skip=CKV2_AWS_61:a lifecycle is set, below, for each bucket: checkov does not follow for_each into a called module
  #checkov:skip=CKV2_AWS_62:nobody waits for events of these buckets
  for_each = local.buckets

  bucket = each.value

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = aws_s3_bucket.this

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "RefusePlainText"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [each.value.arn, "${each.value.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }],
      # Source: S3 user guide, "Enforce conditional writes on Amazon S3 buckets"; the parts of an upload
      # create no object, and carry no condition.
      [for key in [each.key] : {
        Sid       = "OverwriteNothing"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = [for prefix in ["artifacts", "deployments", "releases"] : "${each.value.arn}/${prefix}/*"]
        Condition = {
          Null = { "s3:if-none-match" = "true" }
          Bool = { "s3:ObjectCreationOperation" = "true" }
        }
      } if key == "artifacts"],
    )
  })

  # S3 refuses two changes of a bucket's access at a time.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = aws_s3_bucket.this

  bucket = each.value.id

  rule {
    id     = "unfinished-uploads"
    status = "Enabled"
    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  dynamic "rule" {
    for_each = each.key == "state" ? [var.former_versions_days] : []
    content {
      id     = "former-versions"
      status = "Enabled"
      filter {}

      noncurrent_version_expiration {
        noncurrent_days = rule.value
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
