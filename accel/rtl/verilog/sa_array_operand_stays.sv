// ROWS x COLUMNS processing elements in which an operand stays: operands enter on the left, sums leave at the bottom.
// All edges are skewed: row r and column c are ROW_STEP * r + COLUMN_STEP * c clocks behind row 0 and column 0.
module sa_array_operand_stays #(
    parameter int ROWS = 4,
    parameter int COLUMNS = 4,
    parameter int MOVING_BITS = 8,
    parameter bit MOVING_SIGNED = 1'b1,
    parameter int HELD_BITS = 8,
    parameter bit HELD_SIGNED = 1'b1,
    parameter bit XNOR = 1'b0,
    parameter int SUM_BITS = 32,
    parameter bit SATURATE = 1'b0,
    parameter bit DOUBLE_BUFFERED = 1'b1,
    parameter int ROW_STEP = 1,
    parameter int COLUMN_STEP = 1,
    parameter int MULTIPLIER_LATENCY = 0,
    parameter int COUNT_BITS = 16
) (
    input  wire                           clk,
    input  wire                           reset,
    input  wire [   ROWS*MOVING_BITS-1:0] moving,
    input  wire [               ROWS-1:0] bank,
    input  wire [  COLUMNS*HELD_BITS-1:0] held,
    input  wire [          2*COLUMNS-1:0] load,
    output wire [   COLUMNS*SUM_BITS-1:0] sums,
    output logic [        COUNT_BITS-1:0] overflows   // additions two clocks ago that did not fit
);
    // Magnitude of the largest product, as a power of two.
    localparam int PRODUCT_LOG2 = XNOR ? 0 : MOVING_BITS - (MOVING_SIGNED ? 1 : 0) + HELD_BITS - (HELD_SIGNED ? 1 : 0);

    genvar r, c;
    generate
        for (r = 0; r < ROWS; r = r + 1) begin : g_row
            // r + 1 products fit without a look at them if their largest possible sum does.
            localparam bit EXACT = PRODUCT_LOG2 + $clog2(r + 2) <= SUM_BITS - 1;
            wire [COLUMNS-1:0] overflow;
            wire [COUNT_BITS-1:0] overflows_here, overflows_above;
            if (EXACT) begin : g_none
                wire unused_overflow = |overflow;
                assign overflows_here = '0;
            end else begin : g_count
                assign overflows_here = COUNT_BITS'($countones(overflow));
            end
            if (r == 0) begin : g_first
                assign overflows_above = '0;
            end else begin : g_next
                assign overflows_above = g_row[r-1].overflows_so_far;
            end
            wire [COUNT_BITS-1:0] overflows_so_far = overflows_above + overflows_here;
            for (c = 0; c < COLUMNS; c = c + 1) begin : g_column
                wire [MOVING_BITS-1:0] moving_in, moving_out;
                wire bank_in, bank_out;
                wire [HELD_BITS-1:0] held_in, held_out;
                wire [1:0] load_in, load_out;
                wire signed [SUM_BITS-1:0] sum_in, sum_out;
                if (c == 0) begin : g_left
                    assign moving_in = moving[r*MOVING_BITS+:MOVING_BITS];
                    assign bank_in = bank[r];
                end else begin : g_inside
                    assign moving_in = g_row[r].g_column[c-1].moving_out;
                    assign bank_in = g_row[r].g_column[c-1].bank_out;
                end
                if (r == 0) begin : g_top
                    assign held_in = held[c*HELD_BITS+:HELD_BITS];
                    assign load_in = load[c*2+:2];
                    assign sum_in = '0;
                end else begin : g_below
                    assign held_in = g_row[r-1].g_column[c].held_out;
                    assign load_in = g_row[r-1].g_column[c].load_out;
                    assign sum_in = g_row[r-1].g_column[c].sum_out;
                end
                if (c == COLUMNS - 1) begin : g_right
                    wire unused_right = &{1'b0, moving_out, bank_out};
                end
                if (r == ROWS - 1) begin : g_bottom
                    wire unused_bottom = &{1'b0, held_out, load_out};
                end
                sa_pe_operand_stays #(
                    .MOVING_BITS       (MOVING_BITS),
                    .MOVING_SIGNED     (MOVING_SIGNED),
                    .HELD_BITS         (HELD_BITS),
                    .HELD_SIGNED       (HELD_SIGNED),
                    .XNOR              (XNOR),
                    .SUM_BITS          (SUM_BITS),
                    .SATURATE          (SATURATE),
                    .EXACT             (EXACT),
                    .DOUBLE_BUFFERED   (DOUBLE_BUFFERED),
                    .ROW_STEP          (ROW_STEP),
                    .COLUMN_STEP       (COLUMN_STEP),
                    .MULTIPLIER_LATENCY(MULTIPLIER_LATENCY)
                ) pe (
                    .clk       (clk),
                    .reset     (reset),
                    .moving_in (moving_in),
                    .bank_in   (bank_in),
                    .moving_out(moving_out),
                    .bank_out  (bank_out),
                    .held_in   (held_in),
                    .load_in   (load_in),
                    .held_out  (held_out),
                    .load_out  (load_out),
                    .sum_in    (sum_in),
                    .sum_out   (sum_out),
                    .overflow  (overflow[c])
                );
            end
        end
        for (c = 0; c < COLUMNS; c = c + 1) begin : g_sums
            assign sums[c*SUM_BITS+:SUM_BITS] = g_row[ROWS-1].g_column[c].sum_out;
        end
    endgenerate
    always_ff @(posedge clk) overflows <= g_row[ROWS-1].overflows_so_far;
endmodule
